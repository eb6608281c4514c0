package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
)

const loginsFile = "logins.json"

// Password returns the password that silo gives to a user of this instance. It is
// created with the first call, and readable only by the owner of the directory.
func (d *Dir) Password(username string) (string, error) {
	logins := map[string]string{}
	if err := d.loadJSON(loginsFile, &logins); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w (remove the file to create new passwords)", err)
	}
	if logins[username] == "" {
		if err := d.SetPassword(username, rand.Text()); err != nil {
			return "", err
		}
		return d.Password(username)
	}
	return logins[username], nil
}

// SetPassword replaces the password that Password returns for a user.
func (d *Dir) SetPassword(username, password string) error {
	logins := map[string]string{}
	if err := d.loadJSON(loginsFile, &logins); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (remove the file to create new passwords)", err)
	}
	logins[username] = password
	return d.saveJSON(loginsFile, logins)
}
