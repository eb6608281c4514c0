package cmd

import (
	"errors"

	"github.com/urfave/cli/v2"

	"silo/devserver"
)

func (a *app) devserverCommand() *cli.Command {
	return &cli.Command{
		Name: "devserver", Hidden: true, SkipFlagParsing: true,
		Usage: "the stand-in for `sentry devserver`, of up --demo and the tests",
		Action: func(c *cli.Context) error {
			err := devserver.Run(c.Context, devserver.Options{
				Args: c.Args().Slice(), Env: a.lookup, Stdout: a.Stdout, Stderr: a.Stderr,
			})
			if exit, refused := errors.AsType[*devserver.ExitError](err); refused {
				return exitQuietly(exit.Code) // it has said why, in Sentry's words
			}
			return err
		},
	}
}
