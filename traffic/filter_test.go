package traffic

import "testing"

func TestFilter(t *testing.T) {
	t.Parallel()
	e := Exchange{Silo: "eu", Caller: Caller{Silo: new("us")}, Method: "POST", Path: "/api/0/?a=b", Status: 404, Crossing: true}
	notFound, err := ParseStatuses("404")
	if err != nil {
		t.Fatal(err)
	}
	failed, err := ParseStatuses("5xx")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter Filter
		want   bool
	}{
		"everything":   {Filter{}, true},
		"all":          {Filter{Silos: []string{"us", "eu"}, From: "us", Method: "post", Path: "0/?a", Statuses: notFound, Crossing: true}, true},
		"another silo": {Filter{Silos: []string{"us"}}, false},
		"a caller":     {Filter{From: "outside"}, false},
		"a method":     {Filter{Method: "GET"}, false},
		"another path": {Filter{Path: "/api/1"}, false},
		"other status": {Filter{Statuses: failed}, false},
	} {
		if got := c.filter.Match(e); got != c.want {
			t.Errorf("%s: matches: %v", name, got)
		}
	}
	e.Crossing = false
	if (Filter{Crossing: true}).Match(e) {
		t.Error("matches an exchange that does not cross regions")
	}
}

func TestParseStatuses(t *testing.T) {
	t.Parallel()
	for text, cases := range map[string]map[int]bool{
		"":             {0: true, 200: true},
		"5xx":          {500: true, 599: true, 499: false, 0: false},
		"404, 300-399": {404: true, 304: true, 405: false},
		"20x":          {201: true, 210: false},
	} {
		s, err := ParseStatuses(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		again, err := ParseStatuses(s.String())
		if err != nil {
			t.Errorf("%q is written %q: %v", text, s, err)
		}
		for status, want := range cases {
			if s.Match(status) != want || again.Match(status) != want {
				t.Errorf("%q: %d", text, status)
			}
		}
	}
	for _, text := range []string{"5", "abc", "500-400", "5xx,", "-", "1000", "-01"} {
		if s, err := ParseStatuses(text); err == nil {
			t.Errorf("%q is %v", text, s)
		}
	}
}
