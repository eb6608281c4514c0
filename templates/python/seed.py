"""Create a user and organizations with Sentry's own models, in the environment of one silo.

Sentry's own Python runs this as `python -c THIS TASK`. TASK is JSON: the step (control, organization or mapping), the user
and the organizations. A password is in SILO_SEED_PASSWORD. The output is one line of JSON. A step that has nothing to do
changes nothing. What a release can do is found by its models and modules, not by its version.
"""
import json
import os
import sys
import time


def model(name):
    """Return a model of Sentry, or None if the release has none of that name."""
    from django.apps import apps

    try:
        return apps.get_model("sentry", name)
    except LookupError:
        return None


def user(task):
    """Create the superuser, and set its password if one is given and differs."""
    User, wanted = model("User"), task["user"]
    password = os.environ.get("SILO_SEED_PASSWORD", "")
    found = User.objects.filter(username=wanted["username"]).first()
    if found is None:
        found = User(username=wanted["username"], email=wanted["email"], is_superuser=True, is_staff=True, is_active=True)
        found.set_password(password)
        found.save()
        result = {"created": True, "password": True}
    else:
        if not found.is_superuser:
            raise ValueError("the user %s exists, but is not a superuser" % found.username)
        known = bool(password) and found.check_password(password)
        if password and not known and wanted["reset"]:
            found.set_password(password)
            found.save()
            known = True
        result = {"created": False, "password": known}
    add_role(found)
    return {**result, "id": found.id, "username": found.username, "email": found.email}


def add_role(found):
    """Give the role that `sentry createuser` gives to a superuser (sentry/runner/commands/createuser.py)."""
    UserRole, UserRoleUser = model("UserRole"), model("UserRoleUser")
    role = UserRole and UserRole.objects.filter(name="Super Admin").first()
    if role and not UserRoleUser.objects.filter(user=found, role=role).exists():
        UserRoleUser.objects.create(user=found, role=role)


def mapped(wanted, user_id):
    """Return the id of an organization that control has mapped to its region, with the user as a member; else None."""
    Mapping, Member = model("OrganizationMapping"), model("OrganizationMemberMapping")
    mapping = Mapping and Mapping.objects.filter(slug=wanted["slug"]).first()
    if not mapping:
        return None
    region = getattr(mapping, "region_name", None) or getattr(mapping, "cell_name", None)
    if region != wanted["region"]:
        raise ValueError("the organization %s belongs to %s" % (wanted["slug"], region))
    if Member and not Member.objects.filter(organization_id=mapping.organization_id, user_id=user_id).exists():
        return None
    return mapping.organization_id


def provisioning():
    """Return the module with which control creates an organization in a region, or None if the release has none."""
    try:
        from sentry.services import organization
    except ImportError:
        return None
    return organization if hasattr(organization, "organization_provisioning_service") else None


def provision(module, wanted, user_id):
    """Create an organization in its region from control. The region calls control back, so all silos must run."""
    service = module.organization_provisioning_service
    create = getattr(service, "provision_organization_in_region", None) or service.provision_organization_in_cell
    owner = {"owning_user_id": user_id}
    if "owner" in getattr(module.OrganizationOptions, "__fields__", {}):  # the id alone is deprecated
        from sentry.users.services.user.serial import serialize_generic_user

        owner = {"owner": serialize_generic_user(model("User").objects.get(id=user_id))}
    options = module.OrganizationProvisioningOptions(
        provision_options=module.OrganizationOptions(name=wanted["name"], slug=wanted["slug"], **owner),
        post_provision_options=module.PostProvisionOptions(sentry_options=None, getsentry_options=None),
    )
    try:
        return create(options, wanted["region"]).id
    except Exception as e:
        if type(e).__name__ != "OutboxFlushError":
            raise
        # The region's first answer after a start can come too late. A second call would create a second organization.
        for _ in range(60):
            time.sleep(1)
            found = mapped(wanted, user_id)
            if found is not None:
                return found
        raise



def control(task):
    """Create the user in control, and the organizations if the release can create them from there."""
    result = {"user": user(task), "organizations": []}
    module = provisioning()
    for wanted in task["organizations"]:
        found = mapped(wanted, result["user"]["id"])
        created = found is None and module is not None
        if created:
            found = provision(module, wanted, result["user"]["id"])
        if found is not None:
            result["organizations"].append({"region": wanted["region"], "id": found, "created": created})
    return result


def organization(task):
    """Create an organization in its own region, with the user as its owner."""
    Organization, Member = model("Organization"), model("OrganizationMember")
    (wanted,) = task["organizations"]
    found, created = Organization.objects.filter(slug=wanted["slug"]).first(), False
    if found is None:
        found, created = Organization(name=wanted["name"], slug=wanted["slug"]), True
        found.save()
    if not Member.objects.filter(organization_id=found.id, user_id=task["user"]["id"]).exists():
        Member.objects.create(organization_id=found.id, user_id=task["user"]["id"], role="owner")
    deliver(found.id)
    return {"organizations": [{"region": wanted["region"], "id": found.id, "created": created}]}


def deliver(organization_id):
    """Send what the region has for control about an organization, if the release did not do so when it was saved."""
    Outbox = model("RegionOutbox")
    message = Outbox and Outbox.objects.filter(shard_scope=0, shard_identifier=organization_id).first()
    if message:
        message.drain_shard()


def mapping(task):
    """Map in control the organizations that the release did not map itself."""
    Mapping = model("OrganizationMapping")
    for wanted in task["organizations"] if Mapping else ():
        if Mapping.objects.filter(slug=wanted["slug"]).exists():
            mapped(wanted, task["user"]["id"])
            continue
        fields = {field.name for field in Mapping._meta.get_fields()}
        values = {
            "organization_id": wanted["id"], "slug": wanted["slug"], "name": wanted["name"], "verified": True,
            "status": 0, "idempotency_key": "", "region_name": wanted["region"],
        }
        Mapping.objects.create(**{name: value for name, value in values.items() if name in fields})
    return {}


def main():
    if sys.path and sys.path[0] == "":
        del sys.path[0]  # the sentry program does not import from the working directory either
    task = json.loads(sys.argv[1])
    # The configuration's output goes to stderr.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from sentry.runner import configure

    configure()
    try:
        result = {"control": control, "organization": organization, "mapping": mapping}[task["step"]](task)
    except Exception as e:
        import traceback

        traceback.print_exc()
        result = {"error": "%s: %s" % (type(e).__name__, " ".join(str(e).split())[:500])}
    print(json.dumps(result), file=output, flush=True)
    os._exit(0)  # threads of Sentry's clients may still run


if __name__ == "__main__":
    main()
