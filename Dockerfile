# Telltale for self-hosting: the page, its links and its interface on port 7860, on the processor alone.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    TELLTALE_SHARES=/shares \
    HOME=/tmp/home

WORKDIR /telltale
COPY packages.txt requirements.txt ./
RUN apt-get update \
    && xargs -a packages.txt apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir -r requirements.txt

RUN useradd --home-dir /tmp/home --uid 1000 telltale && install -d -o telltale /shares
COPY --chown=telltale app.py README.md ./
COPY --chown=telltale shared shared
COPY --chown=telltale space space
USER telltale

EXPOSE 7860
VOLUME /shares
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
