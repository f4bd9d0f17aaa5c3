/** A network as a graph, for plugins that look at its structure. */
export { type ChannelGroup, channelGroups, multiplyAddsOf, withoutZeroChannels } from "./channels.js";
export { type Activation, type Constant, type Graph, multiplyAdds, type Node, type Pads } from "./graph.js";
export { simplify } from "./passes.js";
export { keepsRange, rangeName } from "./ranges.js";
export { structureOf, type Traced } from "./trace.js";
export type { Operands } from "./translate.js";
