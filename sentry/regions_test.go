package sentry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"silo/sentry"
)

func TestParseRegions(t *testing.T) {
	t.Parallel()
	got := sentry.ParseRegions(`
from sentry.types.region import Region, RegionCategory
# Region("old", 9, "https://old.ngrok.io", RegionCategory.MULTI_TENANT),
SENTRY_REGION_CONFIG = (
    Region(
        "us-west",
        1,
        "https://us-acme.ngrok.io/",
        RegionCategory.SINGLE_TENANT
    ),
    Region('eu', 22, 'https://eu-acme.ngrok.io'),
    Region(name, 3, "https://x.ngrok.io"),
)
`)
	want := []sentry.WrittenRegion{
		{Name: "us-west", ID: 1, Address: "https://us-acme.ngrok.io", Category: "SINGLE_TENANT"},
		{Name: "eu", ID: 22, Address: "https://eu-acme.ngrok.io"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRegionDicts(t *testing.T) {
	t.Parallel()
	const text = `
SENTRY_REGION_CONFIG = [
    {
        "name": "us",
        "snowflake_id": 1,
        "category": RegionCategory.SINGLE_TENANT.name,
        "address": "https://us.acme.ngrok.app/",
    },
    {'address': 'https://eu.acme.ngrok.app', 'name': 'eu', 'id': 2},
    # {"name": "old", "snowflake_id": 3, "address": "https://old.example.com"},
    {"name": "else"},
]
SENTRY_CONTROL_ADDRESS = "https://old.example.com"
SENTRY_CONTROL_ADDRESS: str = 'https://acme.ngrok.app/'
# SENTRY_CONTROL_ADDRESS = "https://no.example.com"
`
	want := []sentry.WrittenRegion{
		{Name: "us", ID: 1, Address: "https://us.acme.ngrok.app", Category: "SINGLE_TENANT"},
		{Name: "eu", ID: 2, Address: "https://eu.acme.ngrok.app"},
	}
	if diff := cmp.Diff(want, sentry.ParseRegions(text)); diff != "" {
		t.Error(diff)
	}
	if got := sentry.ParseControlAddress(text); got != "https://acme.ngrok.app" {
		t.Errorf("control %q", got)
	}
	if got := sentry.ParseControlAddress("x = 1"); got != "" {
		t.Errorf("control %q", got)
	}
}
