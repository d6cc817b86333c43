package yaml

import (
	"math"

	"github.com/goccy/go-yaml/ast"
)

// converter turns the library's tree into ours.
type converter struct {
	doc     *Document
	limits  Limits
	anchors map[string]Node
	line    int32 // lines before the piece at hand
	values  int   // made so far, aliases counted by what they expand to
	full    bool  // the limit on values was reported
	faults  Faults
}

// restart forgets an attempt.
func (c *converter) restart() {
	c.doc.root, c.values, c.full, c.faults = Node{}, 0, false, Faults{}
	clear(c.anchors)
}

func (c *converter) fault(pos Pos, format string, args ...any) {
	c.faultOf(Syntax, pos, format, args...)
}

func (c *converter) faultOf(code Code, pos Pos, format string, args ...any) {
	c.faults.Add(c.doc.FaultAt(pos, "", format, args...).Of(code))
}

// convert converts one value at a depth.
func (c *converter) convert(n ast.Node, depth int) Node {
	out := c.at(n)
	if depth > c.limits.Depth {
		c.fault(out.Pos(), "nested more than %d deep", c.limits.Depth)
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.kind, out.text = Bool, n.Token.Value
	case *ast.IntegerNode:
		out.kind, out.text = Number, n.Token.Value
	case *ast.FloatNode:
		out.kind, out.text = Number, n.Token.Value
	case *ast.InfinityNode:
		out.kind, out.text = Number, n.Token.Value
	case *ast.NanNode:
		out.kind, out.text = Number, n.Token.Value
	case *ast.StringNode:
		out.kind, out.text = String, n.Value
	case *ast.LiteralNode:
		out.kind = String
		if n.Value != nil {
			out.text = n.Value.Value
		}
	case *ast.MappingNode:
		c.mapping(&out, n.Values, depth)
	case *ast.MappingValueNode:
		c.mapping(&out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = List
		out.items = make([]Node, 0, len(n.Values))
		for i, v := range n.Values {
			if c.full {
				break
			}
			item := c.convert(v, depth+1)
			if item.kind == Null && i < len(n.Entries) && n.Entries[i].Start != nil {
				p := n.Entries[i].Start.Position
				item.line, item.col = c.line+int32(p.Line), int32(p.Column)
			} else if !n.IsFlowStyle && item.line > out.line && item.col <= out.col {
				c.outside(item)
			}
			c.append(&out, item)
		}
	case *ast.AnchorNode:
		out = c.convert(n.Value, depth)
		c.anchors[n.Name.GetToken().Value] = out
	case *ast.AliasNode:
		return c.alias(out, n)
	case *ast.TagNode:
		c.fault(out.Pos(), "tags such as %s are not used here", clip(n.Start.Value))
	default:
		c.fault(out.Pos(), "this is not readable as YAML")
	}
	c.count(out.Pos(), 1)
	return out
}

// at returns an empty Node at the place of a value. The library puts a block mapping at
// its first colon; ours is at its first key.
func (c *converter) at(n ast.Node) Node {
	switch x := n.(type) {
	case nil:
		return Node{line: c.line + 1, col: 1, size: 1}
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			return c.at(x.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return c.at(x.Key)
	}
	out := Node{line: c.line + 1, col: 1, size: 1}
	if t := n.GetToken(); t != nil && t.Position != nil {
		out.line, out.col = c.line+int32(t.Position.Line), int32(t.Position.Column)
	}
	return out
}

// append adds an item to a list or map and to its size.
func (c *converter) append(to *Node, item Node) {
	to.items = append(to.items, item)
	to.size = addSizes(to.size, item.size)
}

// addSizes adds without overflow.
func addSizes(a, b int32) int32 { return int32(min(int64(a)+int64(b), math.MaxInt32)) }

// count adds to the number of values and reports the limit once.
func (c *converter) count(pos Pos, n int) {
	c.values += n
	if c.values > c.limits.Values && !c.full {
		c.full = true
		c.fault(pos, "the file has more than %d values, aliases expanded", c.limits.Values)
	}
}

// alias shares what the anchor holds. Sharing costs nothing here, but whoever walks the
// tree pays for each copy: so the copies count (a "billion laughs" file is refused).
func (c *converter) alias(at Node, n *ast.AliasNode) Node {
	name := n.Value.GetToken().Value
	target, ok := c.anchors[name]
	if !ok {
		c.fault(at.Pos(), "alias *%s has no anchor &%s before it", clip(name), clip(name))
		return at
	}
	c.count(at.Pos(), int(target.size))
	target.line, target.col = at.line, at.col
	return target
}

// mapping converts the entries of a map: explicit keys first come, first kept; then
// merged ones (https://yaml.org/type/merge.html), which never override.
func (c *converter) mapping(out *Node, values []*ast.MappingValueNode, depth int) {
	out.kind = Map
	out.items = make([]Node, 0, 2*len(values))
	seen := make(map[string]Node, len(values))
	var merged []Node
	for _, v := range values {
		if c.full {
			return
		}
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, c.convert(v.Value, depth+1))
			continue
		}
		key, ok := c.key(v.Key)
		if !ok {
			continue
		}
		if first, twice := seen[key.text]; twice {
			c.twice(key, first)
			continue
		}
		seen[key.text] = key
		value := c.convert(v.Value, depth+1)
		if value.kind == Null { // there is nothing to point at but the key
			value.line, value.col = key.line, key.col
		} else if !v.IsFlowStyle && value.line > key.line && (value.col < key.col || value.col == key.col && value.kind != List) {
			c.outside(value)
		}
		c.append(out, key)
		c.append(out, value)
	}
	for _, m := range merged {
		c.merge(out, seen, m)
	}
}

// outside refuses a value that is not to the right of what it belongs to. Readers differ
// on it, the library even with itself ("a:\n-\nb:" makes b a part of the item).
func (c *converter) outside(value Node) {
	c.fault(value.Pos(), "%s", notIndented)
}

const notIndented = "this is not indented more than what it belongs to"

func (c *converter) twice(key, first Node) {
	c.faultOf(DuplicateKey, key.Pos(), "key %q is given twice; first in line %d", clip(key.text), first.line)
}

func (c *converter) merge(out *Node, seen map[string]Node, from Node) {
	switch from.kind {
	case Map:
		for i := 0; i < len(from.items); i += 2 {
			if key := from.items[i]; seen[key.text].kind == Null {
				seen[key.text] = key
				c.append(out, key)
				c.append(out, from.items[i+1])
			}
		}
	case List:
		for _, m := range from.items {
			if m.kind != Map {
				c.fault(m.Pos(), "<< merges mappings, not %s", m.describe())
				continue
			}
			c.merge(out, seen, m)
		}
	default:
		c.fault(from.Pos(), "<< merges mappings, not %s", from.describe())
	}
}

// key converts a key, which must be a scalar and is always a string.
func (c *converter) key(n ast.MapKeyNode) (Node, bool) {
	key := c.at(n)
	key.kind = String
	c.count(key.Pos(), 1)
	switch n := n.(type) {
	case *ast.StringNode:
		key.text = n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		key.text = n.GetToken().Value
	default:
		c.fault(key.Pos(), "a key must be a plain word or a quoted string")
		return key, false
	}
	return key, true
}
