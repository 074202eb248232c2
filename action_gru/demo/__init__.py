"""The config of the offline demo."""

# The same as configs/demo.yaml, for where the package is installed without it.
DEMO_CONFIG = {
    "run": {"name": "demo"},
    "data": {"manifest": "data/demo/manifest.csv"},
    "sampling": {"fps": 12},
    "features": {"weights": "builtin", "views": ["rgb", "motion"]},
    "training": {"epochs": 30},
    "events": {"background": ["idle"]},
}
