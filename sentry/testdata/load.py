"""Load a sentry.conf.py through the installed Sentry's own importer; print what its region code made of it, as JSON."""
import json
import logging
import os
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
os.environ["SENTRY_CONF"] = sys.argv[1]
os.environ["DJANGO_SETTINGS_MODULE"] = "sentry_config"

from sentry.runner.importer import install
from sentry.runner.settings import DEFAULT_SETTINGS_MODULE, discover_configs

_, py, yaml = discover_configs()
install("sentry_config", py, DEFAULT_SETTINGS_MODULE)

from django.conf import settings

settings.INSTALLED_APPS
import sentry.utils.settings
import django
from sentry.runner import initializer

initializer.bootstrap_options(settings, yaml)
django.setup()
if hasattr(initializer, "validate_regions"):
    initializer.validate_regions(settings)

import sentry.types.region as region
from sentry.silo import SiloMode

load = getattr(region, "load_global_regions", None) or region._load_global_regions
mode = str(SiloMode.get_current_mode())
json.dump(
    {
        "Mode": mode,
        "Regions": {
            r.name: [getattr(r, "snowflake_id", None) or r.id, r.address, r.category.name] for r in load().regions
        },
        "Local": region.get_local_region().name if mode == "REGION" else "",
        "Control": settings.SENTRY_CONTROL_ADDRESS,
        "Secret": (getattr(settings, "RPC_SHARED_SECRET", None) or [""])[0],
        "Subnet": getattr(settings, "SENTRY_SUBNET_SECRET", None) or "",
        "Beat": settings.CELERYBEAT_SCHEDULE_FILENAME,
        "Queues": sorted({q.name.split(".")[0] for q in settings.CELERY_QUEUES if q.alias}),
        "Web": settings.SENTRY_WEB_OPTIONS.get("protocol", ""),
    },
    sys.stdout,
)
