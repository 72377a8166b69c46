// The website under test, and Chromium.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export const url = process.env.ELL_URL;
assert.ok(url, "ELL_URL names the website to test");

/** Where Debian has it, and without anything that Chromium would like to fetch. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"],
  });

export const get = async (path) => (await fetch(url + path)).json();

/** Tells the city to run so fast, or to pause. */
export const command = (body) =>
  fetch(`${url}/api/v1/clock`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
