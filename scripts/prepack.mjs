/** Refuses `npm pack` and `npm publish` of the sources. `npm run pack` runs this script too, and passes. */
if (!process.env.npm_command?.startsWith("run")) {
  console.error("This would pack the sources, which do not run where they are installed. Use npm run pack instead.");
  process.exit(1);
}
