// Package pages makes what a person sees of the proxy itself: that a login did not go well, that a page is not theirs, that
// they are signed out.
//
//	a := pages.Page{Title: "You are signed out", Links: []pages.Link{{Text: "Sign in again", To: "/"}}}.Answer(200, "signed_out")
//	a = pages.Denied(requestID, reason, identity) // for proxy.Config.DeniedPage
//
// A page is below 6 KB, in English, and needs nothing but itself: no script, no font, no image, nothing of another origin, which
// its Content-Security-Policy says too. It is readable by day and by night, and by those who do not see it. Whatever comes from a
// request or a provider stands in it as text, cut to a length.
package pages
