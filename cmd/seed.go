package cmd

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/databases"
	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

func (a *app) seedCommand() *cli.Command {
	return &cli.Command{
		Name: "seed", Category: categoryDatabases,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Value: "admin", Usage: "`NAME` of the superuser"},
			&cli.StringFlag{Name: "email", DefaultText: "USERNAME@example.com", Usage: "`ADDRESS` of a new superuser"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from standard input, and set it also for an existing user"},
		},
		Action: a.seed,
	}
}

// seedJSON is the output of silo seed --json.
type seedJSON struct {
	Username      string        `json:"username"`
	Email         string        `json:"email"`
	Password      *string       `json:"password"` // null: silo does not know it
	Created       bool          `json:"created"`
	Login         string        `json:"login"`
	Organizations []seedOrgJSON `json:"organizations"`
}

type seedOrgJSON struct {
	Region  string `json:"region"`
	Slug    string `json:"slug"`
	ID      int64  `json:"id"`
	Created bool   `json:"created"`
	URL     string `json:"url"`
}

func (a *app) seed(c *cli.Context) error {
	dir, layout, err := a.readyLayout(c)
	if err != nil {
		return err
	}
	user := sentry.SeededUser{Username: c.String("username"), Email: c.String("email"), Reset: c.Bool("password-stdin")}
	if user.Username == "" || strings.ContainsAny(user.Username, " \t\n\x00") {
		return &usageError{text: fmt.Sprintf("--username %q is empty or contains a space", user.Username)}
	}
	if user.Email == "" {
		user.Email = user.Username + "@example.com"
	}
	password, err := a.seedPassword(c, dir, user.Username)
	if err != nil {
		return err
	}
	result, err := databases.Seed(c.Context, layout, proc.Output, user, password, func(step string) { a.note(step) })
	if err != nil {
		return err
	}
	if user.Reset {
		if err := dir.SetPassword(user.Username, password); err != nil {
			return err
		}
	}
	return a.printSeed(c, layout, result, password)
}

// readyLayout returns the layout of the running instance, whose silos must be ready:
// Sentry's models in one silo call the others.
func (a *app) readyLayout(c *cli.Context) (*state.Dir, *plan.Layout, error) {
	dir, snapshot, err := a.runningSnapshot(c)
	switch {
	case err != nil:
		return nil, nil, err
	case snapshot == nil:
		return nil, nil, exitWith(exitStopped, api.ErrNotRunning.Error()+": the silos call one another to create organizations", "silo up -d && silo seed")
	case snapshot.Mode == "monolith":
		return nil, nil, exitWith(exitConflict, "silo seed creates organizations in regions, and a monolith has none", "silo down && silo up -d && silo seed")
	}
	for _, silo := range snapshot.Silos {
		if silo.State != state.Ready {
			return nil, nil, exitWith(exitNotReady, fmt.Sprintf("%s is %s: silo seed needs all silos", silo.Name, silo.State), "silo up -d && silo seed")
		}
	}
	layout, err := a.siloLayout(c)
	return dir, layout, err
}

// seedPassword returns the password on standard input, or else the one that silo keeps
// for the user.
func (a *app) seedPassword(c *cli.Context, dir *state.Dir, username string) (string, error) {
	if !c.Bool("password-stdin") {
		return dir.Password(username)
	}
	line, err := bufio.NewReader(io.LimitReader(a.Stdin, 1<<10)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		if err == nil || err == io.EOF {
			return "", &usageError{text: "--password-stdin found no password on standard input", hint: "silo seed --password-stdin < FILE"}
		}
		return "", fmt.Errorf("read the password: %w", err)
	}
	return line, nil
}

func (a *app) printSeed(c *cli.Context, layout *plan.Layout, result sentry.SeedResult, password string) error {
	user := result.User
	out := seedJSON{Username: user.Username, Email: user.Email, Created: user.Created, Organizations: []seedOrgJSON{}}
	if user.Known {
		out.Password = &password
	}
	var text strings.Builder
	for _, silo := range layout.Placed {
		if silo.IsControl() {
			out.Login = silo.URL + "/auth/login/"
		}
	}
	for _, org := range result.Organizations {
		silo, _ := layout.Find(org.Region)
		out.Organizations = append(out.Organizations, seedOrgJSON{Region: org.Region, Slug: org.Slug, ID: org.ID, Created: org.Created, URL: silo.URL + "/organizations/" + org.Slug + "/"})
	}
	if c.Bool("json") {
		return a.printJSON(out)
	}
	shown := "not changed, and silo does not know it"
	if user.Known {
		shown = password
	}
	fmt.Fprintf(&text, "login     %s\nusername  %s\npassword  %s\n", out.Login, out.Username, shown)
	for _, org := range out.Organizations {
		fmt.Fprintf(&text, "%s  %s\n", org.Slug, org.URL)
	}
	if err := a.print(text.String()); err != nil {
		return err
	}
	if !user.Known {
		a.note("the user existed before; set a password with: silo seed --password-stdin")
	}
	return nil
}
