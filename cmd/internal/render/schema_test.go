package render_test

import (
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestX(t *testing.T) { _ = jsonschema.NewCompiler() }
