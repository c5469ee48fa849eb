package report

import (
	"fmt"
	"time"
)

// stampFormat is RFC 3339 with all nine digits of a nanosecond.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00"

// Stamp is a time: in JSON, RFC 3339 in UTC with nine digits of a second. The zero
// Stamp is null: the time is not known.
type Stamp time.Time

// String returns the time as JSON has it, and "" for the zero Stamp.
func (s Stamp) String() string {
	if t := time.Time(s); !t.IsZero() {
		return t.UTC().Format(stampFormat)
	}
	return ""
}

// MarshalJSON implements json.Marshaler.
func (s Stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().AppendFormat(nil, `"`+stampFormat+`"`), nil
}

// UnmarshalJSON implements json.Unmarshaler. It accepts what MarshalJSON writes.
func (s *Stamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = Stamp{}
		return nil
	}
	t, err := time.Parse(`"2006-01-02T15:04:05.000000000Z"`, string(b))
	if err != nil {
		return fmt.Errorf("a time is RFC 3339 in UTC with nine digits of a second: %w", err)
	}
	*s = Stamp(t)
	return nil
}
