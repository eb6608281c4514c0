"""Run region configs, one JSON text a line, with stand-ins for what they import; print what they define, as JSON.

Strings are printed as the hexadecimal of their bytes: what a file's name cannot be decoded to survives.
"""
import ast
import enum
import json
import os
import sys
import types


class RegionCategory(enum.Enum):
    MULTI_TENANT = "MULTI_TENANT"
    SINGLE_TENANT = "SINGLE_TENANT"


class Region:
    def __init__(self, name, number, address, category):
        self.fields = name, number, address, category
        self.__post_init__()

    def __post_init__(self):
        raise AssertionError("silo's own class passes this over")


class PlainRegion(Region):
    def __post_init__(self):
        pass


def module(name, **names):
    sys.modules[name] = made = types.ModuleType(name)
    vars(made).update(names)


for package in "sentry", "sentry.types", "sentry.conf", "sentry.services", "sentry.services.hybrid_cloud":
    module(package, __path__=[])
module("sentry.conf.server", SENTRY_REGION_CONFIG=(), DATABASES={"default": {"NAME": "sentry"}})


def text(value):
    return value.encode("utf-8", "surrogateescape").hex()


def regions(settings):
    localities = {name: one for one in settings.get("SENTRY_LOCALITIES", ()) for name in one["cells"]}
    for r in settings["SENTRY_REGION_CONFIG"] if "SENTRY_REGION_CONFIG" in settings else settings["SENTRY_CELLS"]:
        if isinstance(r, Region):
            name, number, address, category = r.fields
            category = category.name
        else:
            name, number, address = r["name"], r["snowflake_id"], r["address"]
            category = localities[name]["category"] if localities else r["category"]
            assert r.get("category", category) == category
            assert not localities or localities[name]["new_org_cell"] in localities[name]["cells"] == [name]
        yield [text(name), number, text(address), category]


for line in sys.stdin:
    job = json.loads(line)
    os.environ.update({"SILO_RUN_ID": "r", "SENTRY_SILO_MODE": job["mode"], "SILO_URL_CONTROL": ""})
    os.environ["SILO_DATABASE"] = "" if job["mode"] == "MONOLITH" else "own"
    module("django", VERSION=(job["django"], 2, 0, "final", 0))
    module("sentry.types.region", Region=Region if "_SiloRegions" in job["text"] else PlainRegion, RegionCategory=RegionCategory)
    settings = {"SENTRY_SINGLE_ORGANIZATION": True}  # as `sentry init` writes it
    exec(compile(ast.parse(job["text"]), "sentry.conf.py", "exec"), settings)
    sys.modules.pop("sentry.services.hybrid_cloud.auth", None)
    options = settings.get("SENTRY_OPTIONS", {})
    template = options.get("system.region-api-url-template", "")
    answer = {
        "regions": list(regions(settings)),
        "gateway": [text(template.replace("{region}", r["name"])) for r in settings["SENTRY_REGION_CONFIG"]]
        if type(template) is not str
        else [],
        "single": settings["SENTRY_SINGLE_ORGANIZATION"],
        "snowflake": settings.get("SENTRY_USE_SNOWFLAKE", False),
        "control": text(settings["SENTRY_CONTROL_ADDRESS"] or ""),
        "fallback": text(settings.get("SENTRY_FALLBACK_CELL") or settings.get("SENTRY_MONOLITH_REGION") or ""),
        "prefix": text(options.get("system.url-prefix", "")),
        "template": text(template),
        "hosts": [text(host) for host in settings.get("ALLOWED_HOSTS", ())],
        "origins": [text(origin) for origin in settings.get("CSRF_TRUSTED_ORIGINS", ())],
        "cookie": text(settings.get("SUDO_COOKIE_DOMAIN", "")),
    }
    print(json.dumps(answer), flush=True)
