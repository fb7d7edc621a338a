"""What a run's folder holds."""

RECIPE_FILE = "recipe.json"
START_FILE = "start.json"  # what is known of the weights that it began with
MEMBER_FILE = "member.pt"
PREDICTIONS_FILE = "val.npz"
LOG_FILE = "log.jsonl"
AVERAGE_FILE = "average.json"  # the run whose weights these were averaged with
FRAMES_FILE = "frames.json"  # of a member that reads tracks: video AUC over the number of frames
