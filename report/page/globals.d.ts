/** The library's script stands before the page's own. */
declare const uPlot: typeof import("uplot");
