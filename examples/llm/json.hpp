// SPDX-License-Identifier: MIT
#pragma once

// A small strict JSON codec: the value, `parse` and `write`.
#include <llm/json_parser.hpp>
#include <llm/json_value.hpp>
#include <llm/json_writer.hpp>
