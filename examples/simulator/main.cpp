// SPDX-License-Identifier: MIT
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/http/server.hpp>

#include <cli/signals.hpp>
#include <cli/standard_streams.hpp>
#include <simulator/options.hpp>
#include <simulator/simulator.hpp>

namespace {

int fail(const std::string& sentence) {
  std::fprintf(stderr, "penstock-simulator: %s\n", sentence.c_str());
  return 2;
}

// Readers see no file or a whole one.
bool write_port(const std::string& path, int port) {
  const std::string unfinished = path + ".new";
  std::FILE* const file = std::fopen(unfinished.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = std::fprintf(file, "%d\n", port) > 0;
  return std::fclose(file) == 0 && written && std::rename(unfinished.c_str(), path.c_str()) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  cli::hold_standard_streams();
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const auto options = simulator::parse_options(arguments);
  if (!options) return fail(std::string{options.error().message()});
  if (options->action == simulator::Options::Action::help) {
    std::fputs(simulator::help_text.data(), stdout);
    return 0;
  }

  penstock::EventLoop loop;
  const cli::Signals signals{[&](int) { loop.stop(); }};
  simulator::Simulator provider{*options};
  penstock::http::Server* listening = nullptr;
  auto server =
      penstock::http::Server::start(loop,
                                    {.address = {"http", "127.0.0.1", options->port}},
                                    [&](penstock::http::ServerExchange& exchange) {
                                      return provider.handle(exchange, listening->connections());
                                    });
  if (!server)
    return fail("port " + std::to_string(options->port) + ": " +
                std::string{server.error().message()});
  listening = server->get();
  const bool told = options->port_file.empty() || write_port(options->port_file, listening->port());
  if (told) {
    std::printf("listening on http://127.0.0.1:%d/v1\n", listening->port());
    std::fflush(stdout);
    loop.run();
  }
  penstock::sync_wait(loop, listening->stop());
  return told ? 0 : fail("cannot write the port to " + options->port_file);
}
