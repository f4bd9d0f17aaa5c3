/** A page that carries all it needs, may do nothing else, and lets no name out of the element that holds it. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { joined, pageHtml, pageScripts } from "../../report/html.js";

const folder = new URL("../../report/page/", import.meta.url);
const sources = new Map(pageScripts.map((name) => [name, readFileSync(new URL(name, folder), "utf8")]));

describe("the HTML", () => {
  it("allows the scripts and styles that it has, and nothing else", () => {
    const html = pageHtml({ title: "t", summary: "s", blocks: [] });
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html)![1]!;
    const hashes = (element: string): string =>
      [...html.matchAll(new RegExp(`<${element}>([^]*?)</${element}>`, "g"))]
        .map(([, text]) => `'sha256-${createHash("sha256").update(text!).digest("base64")}'`)
        .join(" ");
    expect(policy).toBe(
      `default-src 'none'; script-src ${hashes("script")}; style-src ${hashes("style")}; img-src data:; base-uri 'none'; form-action 'none'`,
    );
    expect([hashes("script"), hashes("style")].map((each) => each.split(" ").length)).toEqual([2, 2]);
    expect(html.indexOf("Content-Security-Policy"), "before anything that it concerns").toBeLessThan(
      html.search(/<(script|style|link|img)/),
    );
    for (const [name, text] of sources)
      expect(text, name).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(/);
  });

  it("may load its own file into a frame while the run lasts, and nothing else", () => {
    const live = { reload: 15, written: 0, done: 1 };
    const policy = (page: object): string[] =>
      /Security-Policy" content="([^"]+)"/
        .exec(pageHtml({ title: "t", summary: "s", blocks: [], ...page }))![1]!
        .split("; ");
    const [ended, under] = [policy({}), policy({ live })];
    expect(under.filter((each) => !ended.includes(each))).toEqual(["frame-src 'self'"]);
    expect(ended.filter((each) => !under.includes(each))).toEqual([]);
  });

  it("keeps names from ending the element that holds them", () => {
    const name = "</script><script>alert(1)</script><!-- \u2028\u2029 \"'&";
    const html = pageHtml({ title: name, summary: name, blocks: [{ kind: "text", title: name, text: name }] });
    expect(html.match(/<script/g)).toHaveLength(3);
    expect(html).not.toContain("<!--");
    const json = /id="data">(.*)<\/script>/.exec(html)![1]!;
    expect(json).not.toMatch(/[<\u2028\u2029]/);
    expect(JSON.parse(json)).toEqual({
      title: name,
      summary: name,
      blocks: [{ kind: "text", title: name, text: name }],
    });
    const shown = "&#60;/script&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#60;!-- \u2028\u2029 &#34;&#39;&#38;";
    expect(html).toContain(`<title>${shown}</title>`);
    expect(html).toContain(`<h1>${shown}</h1>`);
  });
});

describe("the page's script", () => {
  it("joins all modules of page/, of which each uses only those before it", () => {
    const files = readdirSync(folder).filter((name) => name.endsWith(".js"));
    expect(files.sort()).toEqual([...pageScripts].sort());
    for (const [name, text] of sources) {
      const imported = [...text.matchAll(/from "\.\/(.*)";/g)].map(([, file]) => file as (typeof pageScripts)[number]);
      for (const other of imported)
        expect(pageScripts.indexOf(other), `${name} imports ${other}`).toBeLessThan(pageScripts.indexOf(name));
      expect(text, name).toMatch(/^\/\/ @ts-check$/m);
    }
  });

  it("is one script in which no name is there twice", () => {
    const text = joined([...sources.values()]);
    expect(() => new Script(text)).not.toThrow();
    expect(text).not.toMatch(/^(import|export) /m);
    expect(() => new Script(joined(["export const a = 1;\n", "const a = 2;\n"]))).toThrow(/already been declared/);
  });

  it("loses its imports and exports, and nothing else", () => {
    const module =
      'import {\n  a,\n  b,\n} from "./x.js";\nexport const c = a; // import this; export that\nexport function d() {}\n';
    expect(joined([module])).toBe(
      '(() => {\n"use strict";\nconst c = a; // import this; export that\nfunction d() {}\n})();\n',
    );
  });
});
