package cmd

import (
	"errors"

	"github.com/urfave/cli/v2"

	"silo/devserver"
)

func (a *app) devserverCommand() *cli.Command {
	return &cli.Command{
		Name: "devserver", Hidden: true, SkipFlagParsing: true,
		Usage: "run the stand-in for sentry devserver that up --demo and the tests use",
		Action: func(c *cli.Context) error {
			err := devserver.Run(c.Context, devserver.Options{
				Args: c.Args().Slice(), Env: a.lookup, Stdout: a.Stdout, Stderr: a.Stderr,
			})
			if exit, refused := errors.AsType[*devserver.ExitError](err); refused {
				return exitQuietly(exit.Code) // the devserver has printed its error
			}
			return err
		},
	}
}
