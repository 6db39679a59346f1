// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/http/server.hpp>
#include <penstock/http/socket.hpp>

namespace penstock::http {
namespace {

Socket client_of(const Server& server, std::string_view bytes) {
  const auto addresses = resolve({"http", "127.0.0.1", server.port()}, Lookup::numeric);
  Result<Socket> socket = Socket::start_connecting(addresses->front());
  while (socket->write(bytes).status == Transfer::Status::failed) {
    // Loopback: the connection is about to stand.
  }
  return *std::move(socket);
}

std::string requests(std::string_view target, int count) {
  std::string all;
  for (int each = 0; each < count; ++each)
    all.append("GET ").append(target).append(" HTTP/1.1\r\nhost: x\r\n\r\n");
  return all;
}

TEST(server, serves_clients_in_turn_that_send_many_requests_at_once) {
  constexpr std::size_t each = 100;
  EventLoop loop;
  std::vector<std::string> served;
  auto server = Server::start(loop, {}, [&](ServerExchange& exchange) -> Task<void> {
    served.push_back(exchange.request().target);
    if (served.size() == 2 * each) loop.stop();
    Response response{200, "", {}, "ok"};
    static_cast<void>(co_await exchange.reply(std::move(response)));
  });
  ASSERT_TRUE(server);
  const Socket first = client_of(**server, requests("/first", each));
  const Socket second = client_of(**server, requests("/second", each));
  loop.run();
  sync_wait(loop, (*server)->stop());

  ASSERT_EQ(served.size(), 2 * each);
  int turns = 0;
  for (std::size_t next = 1; next < served.size(); ++next)
    turns += served[next] != served[next - 1] ? 1 : 0;
  EXPECT_GT(turns, 10) << "one waited until the other had nothing left to ask";
}

}  // namespace
}  // namespace penstock::http
