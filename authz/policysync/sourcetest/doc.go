// Package sourcetest is the suite that every source of policies must pass. It is for
// tests only.
//
//	func TestMySource(t *testing.T) {
//		sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture {
//			store := startStore(t)
//			return sourcetest.Fixture{Source: mysource.New(store.URL), Publish: store.Publish}
//		})
//	}
//
// A [policysync.Store] passes RunStore, which has the suite of sources in it.
package sourcetest
