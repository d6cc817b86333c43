package yaml

import "github.com/goccy/go-yaml/token"

// joinPlain puts together what the library takes apart: in a flow collection
// "127.0.0.1:9000" is one plain scalar, because a colon with a plain character right
// behind it separates nothing (YAML 1.2 section 7.3.3), but the library reads a mapping.
func joinPlain(tokens token.Tokens) token.Tokens {
	out := tokens[:0]
	flow := 0
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.MappingValueType:
			if flow > 0 && len(out) > 0 && i+1 < len(tokens) && adjoin(out[len(out)-1], t, tokens[i+1]) {
				join(out[len(out)-1], tokens[i+1])
				i++
				continue
			}
		default:
		}
		out = append(out, t)
	}
	return out
}

// adjoin reports whether a colon stands between two plain scalars without any space.
func adjoin(left, colon, right *token.Token) bool {
	return plainScalar(left) && plainScalar(right) &&
		left.Position.Line == colon.Position.Line && left.Position.Column+len([]rune(left.Value)) == colon.Position.Column &&
		right.Position.Line == colon.Position.Line && colon.Position.Column+1 == right.Position.Column
}

func plainScalar(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType,
		token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
		return true
	default:
		return false
	}
}

// join makes left the whole scalar and takes right out of the chain.
func join(left, right *token.Token) {
	left.Value += ":" + right.Value
	left.Origin += ":" + right.Origin
	left.Type, left.CharacterType, left.Indicator = token.StringType, token.CharacterTypeMiscellaneous, token.NotIndicator
	left.Next = right.Next
	if right.Next != nil {
		right.Next.Prev = left
	}
}
