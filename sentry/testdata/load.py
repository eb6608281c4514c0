"""Load a sentry.conf.py through the installed Sentry's own importer; print what its region code made of it, as JSON."""
import json
import logging
import os
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
os.environ["SENTRY_CONF"] = sys.argv[1]

from sentry.runner import importer
from sentry.runner.settings import discover_configs

_, py, yaml = discover_configs()
if hasattr(importer, "install"):  # to 24.3
    os.environ["DJANGO_SETTINGS_MODULE"] = "sentry_config"
    importer.install("sentry_config", py, "sentry.conf.server")
else:  # sentry/runner/settings.py, configure
    os.environ["DJANGO_SETTINGS_MODULE"] = "sentry.runner.default_settings"
    importer.SENTRY_CONF_PY = py

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

names = ("get_global_directory", "load_global_regions", "_load_global_regions")  # of 24.1, 23.6 and 22.10 on
load = next(getattr(region, name) for name in names if hasattr(region, name))
mode = str(SiloMode.get_current_mode())
json.dump(
    {
        "Mode": mode,
        "Regions": {
            r.name: [getattr(r, "snowflake_id", getattr(r, "id", None)), r.address, r.category.name] for r in load().regions
        },
        "Local": region.get_local_region().name if mode == "REGION" else "",
        "Control": settings.SENTRY_CONTROL_ADDRESS or "",
        "Secret": ",".join(getattr(settings, "RPC_SHARED_SECRET", None) or []),
        "Subnet": getattr(settings, "SENTRY_SUBNET_SECRET", None) or "",
        "Beat": settings.CELERYBEAT_SCHEDULE_FILENAME,
        "Queues": sorted({q.name.split(".")[0] for q in settings.CELERY_QUEUES if q.alias}),
        "Web": settings.SENTRY_WEB_OPTIONS.get("protocol", ""),
        "URLPrefix": settings.SENTRY_OPTIONS.get("system.url-prefix", ""),
        "Template": settings.SENTRY_OPTIONS.get("system.region-api-url-template", ""),
        "Cookies": " ".join(
            getattr(settings, name + "_COOKIE_DOMAIN", None) or "" for name in ("SESSION", "CSRF", "SUDO")
        ).strip(),
        "Hosts": list(settings.ALLOWED_HOSTS),
        "Origins": list(settings.CSRF_TRUSTED_ORIGINS),
        "Django": django.VERSION[0],
        "Single": settings.SENTRY_SINGLE_ORGANIZATION,
        "Snowflake": settings.SENTRY_USE_SNOWFLAKE,
        # What control's gateway of 23.7 calls. Other releases have no such URL, or do not call it.
        "ForwardsTo": {r.name: r.to_url("/") for r in load().regions} if mode == "CONTROL" else {},
    },
    sys.stdout,
)
