"""Charts drawn on the server: pure functions, numbers in, markup out.

A chart is a `<div class="chart">` with one SVG and no inline style or script, so that it may stand in a page with a
strict content security policy, in a report or in a notebook. It needs `drawing.plot.stylesheet()` and, once a page,
`drawing.marks.definitions()`. Its box is fluid: positions along x are per cent of the plot, heights and texts are
pixels that never scale, and a label that needs room says so by a class (`from-480`: shown when its chart is at least so
wide).

Times are seconds since 1970, shares lie between 0 and 1, and NaN is what is not known: a gap, never a zero.
"""
