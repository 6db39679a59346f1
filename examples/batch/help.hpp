// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace batch {

inline constexpr std::string_view version_text = "penstock-batch 0.1.0\n";

/// What `--help` prints. A test holds it against the table of flags.
inline constexpr std::string_view help_text =
    R"(penstock-batch: asks a model every prompt of a JSONL file and keeps the answers.

Usage:
  penstock-batch -i prompts.jsonl -m provider:model [options]

Example:
  export OPENAI_API_KEY=...
  penstock-batch -i prompts.jsonl -o answers.jsonl -m openai:gpt-4.1-nano \
                 -m groq:llama-3.1-8b-instant -c 32 --rpm 500

Files:
  -i, --input FILE      one prompt per line: {"prompt": ...}, {"question": ...},
                        a JSON string, an OpenAI chat body or an OpenAI Batch
                        line; "-" is standard input and then -o is needed
  -o, --output FILE     answers in OpenAI Batch output form, appended as they
                        come (default: prompts.jsonl gives prompts.out.jsonl)
  Prompts that failed for good are listed in a file beside the output:
  answers.errors.jsonl for answers.jsonl. The same command again asks only what
  is not answered yet. A line is known by its custom_id, without one by its
  number; a changed prompt under an answered custom_id is not asked again.

Where to ask:
  -m, --model PROVIDER:MODEL[@BASE-URL]
                        repeat it for fallbacks, the preferred one first
      --base-url URL    for every model that names no URL of its own
      --mode MODE       inline, threads or async (default: async)

How fast:
  -c, --concurrency N   calls in flight at once, 1 to 10000 (default: 16)
      --rpm N           requests per minute (default: no limit of ours)
      --tpm N           tokens per minute (default: no limit of ours)

How long:
      --max-attempts N  for each prompt, 1 to 100 (default: 8)
      --deadline TIME   for each prompt with its retries: 500ms, 60s, 5m, 2h
                        (default: 5m); it starts when --rpm and --tpm let the
                        prompt through
      --limit N         ask at most N prompts in this run

What to see:
      --dry-run         check the input and say what would be asked; no call
                        is made
      --progress STYLE  none, plain, bar or json, on standard error (default:
                        bar on a terminal, else plain)
  -h, --help            this text
      --version         the version

Environment:
  OPENAI_API_KEY, ANTHROPIC_API_KEY, GROQ_API_KEY, DEEPSEEK_API_KEY
                        the keys; never on the command line, where other users
                        see them
  OPENAI_BASE_URL, ANTHROPIC_BASE_URL ...
                        where a provider is, unless a flag says so

Exit codes:
  0    every prompt is answered
  1    finished, but some prompts failed or some lines were malformed; or gave
       up, because prompt after prompt found no server, or one at its limit for
       longer than --deadline
  2    the command line, the input file or the output file cannot be used
  3    stopped: the quota is used up or a key is refused
  130  interrupted: answers in flight were kept; the same command resumes
)";

}  // namespace batch
