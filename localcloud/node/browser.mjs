// Unpacks the Chromium of an npm package into the folder that TMPDIR names, with the libraries and
// fonts that a bare machine lacks: the package does that where it thinks to be on Lambda.
import chromium from "@sparticuz/chromium";

console.log(await chromium.executablePath());
