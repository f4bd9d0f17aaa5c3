/** A page that carries all it needs, may do nothing else, and lets no name out of the element that holds it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { pageHtml } from "../../report/html.js";

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
    expect(readFileSync(new URL("../../report/page.js", import.meta.url), "utf8")).not.toMatch(
      /innerHTML|outerHTML|insertAdjacent|document\.write|eval\(/,
    );
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
