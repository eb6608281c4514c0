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
