// Prints, for each project: lines of C#, files, the largest file, the longest method and the number of public types.
// Usage: node tools/size.mjs [folder]
// A method is found by the repository's own formatting: it starts at four or eight spaces and ends with a brace at the
// same column, or with a semicolon for an expression body.
import { readdirSync, readFileSync, existsSync } from "node:fs";
import { join, relative } from "node:path";

const root = process.argv[2] ?? join(import.meta.dirname, "..");
const skipped = new Set(["bin", "obj", "node_modules", ".git", "artifacts", "StrykerOutput"]);

function* files(folder, matches) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!skipped.has(entry.name)) yield* files(path, matches);
    } else if (matches(entry.name)) {
      yield path;
    }
  }
}

const declaration = /^( {4}| {8})(?:(?:public|private|protected|internal|static|async|override|virtual|sealed|partial|extern|unsafe)\s+)+[\w<>\[\]?,.() ]+\s+\w+(?:<[^>]*>)?\(/;

function longestMethod(lines) {
  let longest = { lines: 0, name: "-" };
  for (let start = 0; start < lines.length; start++) {
    const match = declaration.exec(lines[start]);
    if (!match) continue;
    const closing = match[1] + "}";
    let end = start;
    while (end < lines.length && lines[end] !== closing && !(end > start && lines[end].startsWith(match[1] + "}")) && !isExpressionEnd(lines, start, end, match[1])) end++;
    const length = end - start + 1;
    if (end < lines.length && length > longest.lines) {
      longest = { lines: length, name: /(\w+)(?:<[^>]*>)?\($/.exec(lines[start].slice(0, match[0].length))?.[1] ?? "?" };
    }
  }
  return longest;
}

// "=> ...;" without a block of its own: the first line that ends with a semicolon and has not met the method's brace.
function isExpressionEnd(lines, start, end, indentation) {
  return lines[end].endsWith(";") && !lines.slice(start, end + 1).some((line) => line === indentation + "{");
}

const rows = [];
for (const project of [...files(root, (name) => name.endsWith(".csproj"))].sort()) {
  const folder = join(project, "..");
  let [count, lines, publicTypes] = [0, 0, 0];
  let largest = { lines: 0, name: "-" };
  let longest = { lines: 0, name: "-" };
  for (const file of files(folder, (name) => name.endsWith(".cs"))) {
    if (file.includes(".g.cs")) continue;
    const text = readFileSync(file, "utf8").replace(/\n$/, "").split("\n");
    count++;
    lines += text.length;
    publicTypes += text.filter((line) => /^\s*public\s+(?:[a-z]+\s+)*(?:class|record|struct|interface|enum|delegate)\b/.test(line)).length;
    if (text.length > largest.lines) largest = { lines: text.length, name: relative(folder, file) };
    const method = longestMethod(text);
    if (method.lines > longest.lines) longest = method;
  }
  if (existsSync(folder)) rows.push([relative(root, folder), lines, count, `${largest.name} (${largest.lines})`, `${longest.name} (${longest.lines})`, publicTypes]);
}

console.log("| project | lines of C# | files | largest file | longest method | public types |\n|---|---:|---:|---|---|---:|");
for (const row of rows) console.log(`| ${row.join(" | ")} |`);
