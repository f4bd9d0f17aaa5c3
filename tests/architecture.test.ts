/** docs/architecture.md draws the folders and who may import whom; the sources are held against that drawing. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { importCircles, importGraph } from "./support/imports.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs/architecture.md"), "utf8");
const folders = ["browser", "core", "run", "export", "report", "cli", "plugins", "presets"];
const graph = importGraph(folders);
/** The package's entry stands above its folder. */
const entry = "run/index.ts";
const area = (file: string): string => (file === entry ? file : file.split("/")[0]!);

describe("the sources", () => {
  it("import along the arrows of docs/architecture.md only", () => {
    const arrows = /^```arrows\n(.*?)^```$/ms.exec(page)![1]!;
    const allowed = new Map(
      [...arrows.matchAll(/^([\w/.]+?) *-> *(.*)$/gm)].map(([, from, to]) => [from!, to!.split(/, */)]),
    );
    const wrong = [...graph].flatMap(([file, imports]) =>
      imports
        .filter((other) => area(other) !== area(file))
        .filter(
          (other) => !(allowed.get(area(file)) ?? []).some((place) => other === place || other.startsWith(`${place}/`)),
        )
        .map((other) => `${file} imports ${other}`),
    );
    expect(wrong).toEqual([]);
  });

  it("import each other in no circle", () => {
    expect(importCircles(graph)).toEqual([]);
  });

  it("of core/loop import no plugin, no model, no data set and no command", () => {
    const wrong = [...graph].flatMap(([file, imports]) =>
      file.startsWith("core/loop/")
        ? imports
            .filter(
              (other) =>
                !/^core\/(loop|nn|backend|config|group)\/|^core\/data\/(dataset|holdout|load|loader)\.ts$|^core\/\w+\.ts$/.test(
                  other,
                ),
            )
            .map((other) => `${file} imports ${other}`)
        : [],
    );
    expect(wrong).toEqual([]);
  });
});

it("docs/architecture.md lists every folder of core, and what each imports", () => {
  const listed = new Map(
    [...page.matchAll(/^\| `core\/(\w+)` \|.*\|(.*)\|$/gm)].map(([, folder, imports]) => [folder!, imports!]),
  );
  const inCore = readdirSync(join(root, "core"), { withFileTypes: true }).filter((each) => each.isDirectory());
  expect([...listed.keys()].sort()).toEqual(inCore.map(({ name }) => name).sort());
  for (const [folder, imports] of listed) {
    const found = [...graph]
      .filter(([file]) => file.startsWith(`core/${folder}/`))
      .flatMap(([, others]) => others.map((other) => /^core\/(\w+)\//.exec(other)?.[1]))
      .filter((other) => other !== undefined && other !== folder);
    const named = [...imports.matchAll(/`core\/(\w+)`/g)].map(([, name]) => name!);
    expect(named.sort(), `core/${folder}`).toEqual([...new Set(found)].sort());
  }
});

it("docs/architecture.md lists every folder at the top that holds code", () => {
  for (const folder of folders.filter((each) => [...graph.keys()].some((file) => area(file) === each))) {
    expect(page, folder).toMatch(new RegExp(`^${folder}\\b.*->`, "m"));
  }
});
