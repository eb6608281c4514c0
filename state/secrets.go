package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
)

const secretsFile = "secrets.json"

// Secrets are shared by the silos of one instance.
type Secrets struct {
	RPC      string `json:"rpc"`              // signs calls between silos
	Subnet   string `json:"subnet"`           // signs requests of regions to the internet through control
	Previous string `json:"before,omitempty"` // the previous RPC secret: still accepted, no longer used to sign
}

// Accepted returns the RPC secrets that a silo accepts, separated by commas. The first
// one is used to sign.
func (s Secrets) Accepted() string {
	if s.Previous == "" {
		return s.RPC
	}
	return s.RPC + "," + s.Previous
}

func newSecrets() Secrets {
	return Secrets{RPC: rand.Text() + rand.Text(), Subnet: rand.Text() + rand.Text()}
}

// storedSecrets is the content of the secrets' file.
type storedSecrets struct {
	Secrets

	Next *Secrets `json:"next,omitempty"` // rotated secrets, until RenewSecrets
}

// Secrets returns the current secrets. If necessary it creates them, readable only by
// their owner.
func (d *Dir) Secrets() (Secrets, error) {
	stored, err := d.loadSecrets()
	if err == nil && (stored.RPC == "" || stored.Subnet == "") {
		stored.Secrets = newSecrets()
		err = d.saveJSON(secretsFile, stored)
	}
	return stored.Secrets, err
}

// RotateSecrets creates new secrets, which become current with the next RenewSecrets.
func (d *Dir) RotateSecrets() error {
	stored, err := d.loadSecrets()
	if err != nil {
		return err
	}
	stored.Next = new(newSecrets())
	return d.saveJSON(secretsFile, stored)
}

// RenewSecrets makes rotated secrets current, and returns the current ones. Call it only
// while no silo runs, or before all of them restart.
func (d *Dir) RenewSecrets() (Secrets, error) {
	stored, err := d.loadSecrets()
	if err != nil {
		return Secrets{}, err
	}
	if stored.Next == nil {
		return d.Secrets()
	}
	stored.Next.Previous = stored.RPC
	return *stored.Next, d.saveJSON(secretsFile, storedSecrets{Secrets: *stored.Next})
}

// SecretsRotated reports whether there are rotated secrets that RenewSecrets has not made
// current yet.
func (d *Dir) SecretsRotated() bool {
	stored, err := d.loadSecrets()
	return err == nil && stored.Next != nil
}

func (d *Dir) loadSecrets() (storedSecrets, error) {
	var stored storedSecrets
	if err := d.loadJSON(secretsFile, &stored); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storedSecrets{}, fmt.Errorf("%w (remove the file to create new secrets)", err)
	}
	return stored, nil
}
