/** Optimizers by name, for records that name one. */
import { muon } from "./muon.js";
import { adamw, lion, sgd } from "./optimizers.js";

export const optimizers = { sgd, adamw, lion, muon } as const;
