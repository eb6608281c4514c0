package sentry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"silo/templates"
)

// PasswordVariable is the variable with the password of a seeded user. The password is
// not an argument, because everyone on the machine can read those.
const PasswordVariable = "SILO_SEED_PASSWORD" //nolint:gosec // G101: the name of a variable

// SeedStep is a step of creating a user and organizations. A step that has been done
// changes nothing.
type SeedStep string

// The steps, in order.
const (
	SeedControl      SeedStep = "control"      // in control: the user, and the organizations if the release creates them from there
	SeedOrganization SeedStep = "organization" // in a region: its organization
	SeedMapping      SeedStep = "mapping"      // in control: mappings, if the release does not create them itself
)

// SeedTask is the input of a step.
type SeedTask struct {
	Step          SeedStep    `json:"step"`
	User          SeededUser  `json:"user"`
	Organizations []SeededOrg `json:"organizations"`
}

// SeededUser is a superuser. ID, Created and Known are only in the result.
type SeededUser struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Reset    bool   `json:"reset"` // set the password also for a user that exists
	Created  bool   `json:"created"`
	Known    bool   `json:"password"` // the given password is the user's
}

// SeededOrg is an organization in one region. ID and Created are only in the result,
// except for SeedMapping.
type SeededOrg struct {
	Region  string `json:"region"`
	Slug    string `json:"slug"`
	Name    string `json:"name"`
	ID      int64  `json:"id"`
	Created bool   `json:"created"`
}

// SeedResult is the result of a step.
type SeedResult struct {
	User SeededUser `json:"user"`
	// Organizations are the ones that are complete, with only Region, ID and Created.
	Organizations []SeededOrg `json:"organizations"`
	Error         string      `json:"error"`
}

// SeedArgv returns the command that performs a step. It must run in the environment of
// the step's silo, with PasswordVariable, while all silos run: they call each other.
func SeedArgv(python string, task SeedTask) ([]string, error) {
	text, err := json.Marshal(task)
	if err != nil {
		return nil, fmt.Errorf("encode the seed task: %w", err)
	}
	return []string{python, "-c", templates.Text("python/seed.py"), string(text)}, nil
}

// ErrSeedMode is returned if a step needs models that the silo's mode does not have.
var ErrSeedMode = errors.New("not available in this silo mode")

// ParseSeed parses the output of SeedArgv's command. Sentry's own error is returned as
// an error, which is an ErrSeedMode if it is an AvailabilityError (sentry/silo/base.py).
func ParseSeed(output []byte) (SeedResult, error) {
	var r SeedResult
	if err := json.NewDecoder(bytes.NewReader(output)).Decode(&r); err != nil {
		return r, fmt.Errorf("parse the result from Sentry's Python: %w", err)
	}
	switch {
	case strings.HasPrefix(r.Error, "AvailabilityError: "):
		return r, fmt.Errorf("%s (%w)", r.Error, ErrSeedMode)
	case r.Error != "":
		return r, errors.New(r.Error)
	}
	return r, nil
}
