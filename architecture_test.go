package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	codeSpan  = regexp.MustCompile("`([^`\n]+)`")
	goName    = regexp.MustCompile(`^(?:[a-z]+\.)?[A-Za-z]\w*(?:\.[A-Za-z]\w*)?$`)
	mixedCase = regexp.MustCompile(`[a-z][A-Z]|^[A-Z][a-z]|\.[A-Za-z]`)
)

// TestArchitectureNames checks that every file and every Go name in ARCHITECTURE.md exists.
func TestArchitectureNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredNames(t)
	for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		name := span[1]
		switch {
		case strings.Contains(name, " ") || strings.HasPrefix(name, "-"):
		case strings.ContainsAny(name, "/"), filepath.Ext(name) == ".go":
			if _, err := os.Stat(name); err != nil && name != "os/exec" && !existsIn(name, "proxy") {
				t.Errorf("ARCHITECTURE.md names %s, which does not exist", name)
			}
		case goName.MatchString(name) && mixedCase.MatchString(name) && strings.ToUpper(name) != name && filepath.Ext(name) != ".toml":
			parts := strings.Split(name, ".")
			last := parts[len(parts)-1]
			if !declared[last] && !declared[name] && !strings.HasPrefix(name, "httputil.") && !existsIn(name, "dashboard/page") && !existsIn(name, ".") && last != "py" {
				t.Errorf("ARCHITECTURE.md names %s, which the code does not declare", name)
			}
		}
	}
}

func existsIn(name, dir string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// declaredNames returns the functions, methods and types of all rooms, without their package.
func declaredNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for room := range house {
		files, err := filepath.Glob(filepath.Join(room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, declaration := range syntax.Decls {
				switch d := declaration.(type) {
				case *ast.FuncDecl:
					names[d.Name.Name] = true
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if s, ok := spec.(*ast.TypeSpec); ok {
							names[s.Name.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}
