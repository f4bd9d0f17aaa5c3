/** Writes docs/cli.md, docs/api.md and docs/config.md: `npm run reference`. tests/reference.test.ts fails where they are out of date. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createProgram } from "../../cli/program.js";
import { apiPage } from "./api.js";
import { commandLinePage } from "./command-line.js";
import { configPage } from "./config.js";

const docs = join(import.meta.dirname, "../../docs");
writeFileSync(join(docs, "cli.md"), commandLinePage(createProgram()));
writeFileSync(join(docs, "api.md"), apiPage());
writeFileSync(join(docs, "config.md"), configPage());
