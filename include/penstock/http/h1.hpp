// SPDX-License-Identifier: MIT
#pragma once

// The HTTP/1.1 codec (RFC 9112): messages to bytes and back, without input or output.
#include <penstock/http/h1_parser.hpp>
#include <penstock/http/h1_writer.hpp>
