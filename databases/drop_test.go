package databases

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"silo/state"
)

// TestDrop checks that Drop drops either all databases or none, and only those that silo
// created.
func TestDrop(t *testing.T) {
	t.Parallel()
	const (
		eu      = `{"silo": "eu", "name": "acme_eu", `
		foreign = eu + `"exists": true}`
		another = eu + `"exists": true, "mark": "silo other-1 eu"}`
		absent  = eu + `"exists": false}`
		down    = eu + `"error": "refused"}`
	)
	no := errors.New("no")
	runs := &state.Snapshot{Mode: "silos", Silos: []state.Silo{{Name: "control", State: state.Stopped}, {Name: "us-west", State: state.Failed}, {Name: "eu", State: state.Ready}}}
	monolith := &state.Snapshot{Mode: "monolith", Silos: []state.Silo{{Name: "control", State: state.Ready}}}
	for _, test := range []struct {
		name, found string
		before      *state.Snapshot // of the running instance, before confirm
		after       *state.Snapshot // and after it
		answer      error           // of confirm
		asked       []string        // the argument of confirm; nil if it must not be called
		dropped     bool
		want        string // expected in the error or in the results
	}{
		{name: "all", asked: []string{"acme_control", "acme_us_west", "acme_eu"}, dropped: true},
		{name: "only existing ones", found: absent, asked: []string{"acme_control", "acme_us_west"}, dropped: true},
		{name: "a monolith runs", before: monolith, after: monolith, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, dropped: true},
		{name: "not confirmed", answer: no, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, want: "no"},
		{name: "not created by silo", found: foreign, want: "silo did not create the database acme_eu"},
		{name: "of another instance", found: another, want: "belongs to another instance (silo other-1 eu)"},
		{name: "Postgres is down", found: down, want: "refused"},
		{name: "one runs", before: runs, want: "database of a running silo: eu"},
		{name: "a silo starts during the confirmation", after: runs, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, want: "database of a running silo: eu"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newFixture(t)
			dropped := false
			b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
				dropped = dropped || parseTask(argv).Verb == "drop"
				return answer(argv, test.found), nil
			}
			var question []string
			running := func(context.Context) (*state.Snapshot, error) {
				if question == nil {
					return test.before, nil
				}
				return test.after, nil
			}
			all, err := b.set(false).Drop(t.Context(), running, func(names []string) error { question = names; return test.answer })
			got := summary(all)
			if err != nil {
				got = err.Error()
			}
			if dropped != test.dropped || !slices.Equal(question, test.asked) || !strings.Contains(got, test.want) {
				t.Errorf("dropped: %t, asked about %q: %s", dropped, question, got)
			}
		})
	}
}

func TestDropFailsIfRunningIsUnknown(t *testing.T) {
	t.Parallel()
	unknown := errors.New("no answer")
	b := newFixture(t)
	b.run = func(context.Context, []string, string, []string) ([]byte, error) {
		t.Error("Sentry's Python was run")
		return nil, nil
	}
	_, err := b.set(false).Drop(t.Context(), func(context.Context) (*state.Snapshot, error) { return nil, unknown }, func([]string) error { return nil })
	if !errors.Is(err, unknown) {
		t.Error(err)
	}
}
