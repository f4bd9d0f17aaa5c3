/** What own.config.ts imports: a file of the user's own beside the config. */
import { tf } from "fitloop";

export const bias = (loss: tf.Scalar): tf.Scalar => tf.add(loss, 0) as tf.Scalar;
