package databases

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"silo/state"
)

// TestDrop wants all dropped or none, and nothing that is not silo's own.
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
		before      *state.Snapshot // what runs before the question
		after       *state.Snapshot // and after it
		answer      error
		asked       []string // what the question names; nil: it is not put
		dropped     bool
		words       string
	}{
		{name: "all", asked: []string{"acme_control", "acme_us_west", "acme_eu"}, dropped: true},
		{name: "what is there", found: absent, asked: []string{"acme_control", "acme_us_west"}, dropped: true},
		{name: "beside a monolith", before: monolith, after: monolith, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, dropped: true},
		{name: "refused by the user", answer: no, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, words: "no"},
		{name: "somebody else's", found: foreign, words: "silo did not create the database acme_eu"},
		{name: "another instance's", found: another, words: "belongs to another instance (silo other-1 eu)"},
		{name: "unknown", found: down, words: "refused"},
		{name: "one runs", before: runs, words: "a silo that runs is not dropped: eu"},
		{name: "one is started meanwhile", after: runs, asked: []string{"acme_control", "acme_us_west", "acme_eu"}, words: "a silo that runs is not dropped: eu"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			dropped := false
			b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
				dropped = dropped || asked(argv).Verb == "drop"
				return says(argv, test.found), nil
			}
			var question []string
			running := func(context.Context) (*state.Snapshot, error) {
				if question == nil {
					return test.before, nil
				}
				return test.after, nil
			}
			all, err := b.set(false).Drop(t.Context(), running, func(names []string) error { question = names; return test.answer })
			said := in(all)
			if err != nil {
				said = err.Error()
			}
			if dropped != test.dropped || !slices.Equal(question, test.asked) || !strings.Contains(said, test.words) {
				t.Errorf("dropped: %t, asked about %q: %s", dropped, question, said)
			}
		})
	}
}

// TestRunningIsUnknown drops nothing where nobody can say what runs.
func TestRunningIsUnknown(t *testing.T) {
	t.Parallel()
	deaf := errors.New("deaf")
	b := newBed(t)
	b.run = func(context.Context, []string, string, []string) ([]byte, error) {
		t.Error("somebody was asked")
		return nil, nil
	}
	_, err := b.set(false).Drop(t.Context(), func(context.Context) (*state.Snapshot, error) { return nil, deaf }, func([]string) error { return nil })
	if !errors.Is(err, deaf) {
		t.Error(err)
	}
}
