package findings_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The sentences of findings are in one file: what a rule says in Detail has no
// literal of its own.
func TestSentencesAreInOneFile(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files, details := token.NewFileSet(), 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, value := range detailsOf(n) {
				details++
				if at := literal(value); at.IsValid() {
					t.Errorf("%v: a sentence that belongs in sentences.go", files.Position(at))
				}
			}
			return true
		})
	}
	if details < 40 {
		t.Errorf("%d sentences", details)
	}
}

// detailsOf are the expressions that a node makes the Detail of a finding.
func detailsOf(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if s, ok := n.Lhs[0].(*ast.SelectorExpr); ok && s.Sel.Name == "Detail" {
			return n.Rhs
		}
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Detail" {
			return []ast.Expr{n.Value}
		}
	}
	return nil
}

// literal is where an expression has a string literal, if it has any.
func literal(e ast.Expr) (at token.Pos) {
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			at = l.Pos()
		}
		return true
	})
	return at
}
