/**
 * Registers the gradients of tf.js' own operations, which tfjs-core alone does not bring: without this module even the
 * gradient of an addition is missing.
 *
 * They are part of the union package, whose layers and data come along in a checkout; the build puts `tfjs-for-bundle`
 * in its place.
 */
import "@tensorflow/tfjs";
