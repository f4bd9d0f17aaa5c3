/** The package's entry: what a program imports as "fitloop". A snapshot test guards what is exported here. */
export * from "../core/index.js";
