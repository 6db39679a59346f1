// SPDX-License-Identifier: MIT
// What every transport promises, run on each of them over real sockets of this machine.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <poll.h>

#include <penstock/core/stop.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/sync_wait.hpp>
#include <penstock/http/async_transport.hpp>
#include <penstock/http/socket_transport.hpp>

#include "support/raw_server.hpp"
#include "support/server_thread.hpp"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using testing::RawServer;
using testing::ServerThread;

static_assert(Transport<BlockingTransport>);
static_assert(Transport<AsyncTransport>);

class BlockingClient {
 public:
  Result<Response> ask(const Request& request, Call& call) { return transport_(request, call); }
  Result<BlockingTransport::Pool::Lease> acquire(const Origin& origin, Call& call) {
    return transport_.pool().acquire(origin, call);
  }
  static int descriptor(BlockingTransport::Pool::Lease& lease) {
    return lease->socket().descriptor();
  }
  auto stats() { return transport_.pool().stats(); }

 private:
  BlockingTransport transport_{SocketTransport{}};
};

class AsyncClient {
 public:
  Result<Response> ask(const Request& request, Call& call) {
    return sync_wait(loop_, transport_(request, call));
  }
  Result<AsyncTransport::Pool::Lease> acquire(const Origin& origin, Call& call) {
    return sync_wait(loop_, transport_.pool().acquire(origin, call));
  }
  static int descriptor(AsyncTransport::Pool::Lease& lease) {
    return lease->socket().socket().descriptor();
  }
  auto stats() { return transport_.pool().stats(); }

 private:
  EventLoop loop_;
  AsyncTransport transport_{AsyncSocketTransport{loop_}};
};

// Not inside a coroutine: g++ 12 cannot keep an initializer list across a wait.
Response response(int status, std::string body, std::string name = "", std::string value = "") {
  Response made{status, "", {}, std::move(body)};
  if (!name.empty()) made.headers.add(std::move(name), std::move(value));
  return made;
}
Task<void> stream(ServerExchange& exchange) {
  static_cast<void>(co_await exchange.start(response(200, "", "x-kind", "stream")));
  static_cast<void>(co_await exchange.stream("one "));
  static_cast<void>(co_await exchange.stream("two "));
  static_cast<void>(co_await exchange.stream("three"));
  static_cast<void>(co_await exchange.finish());
}
// Answers by the target that was asked for.
Task<void> serve(ServerExchange& exchange) {
  const Request& request = exchange.request();
  if (request.target == "/chunked") {
    co_await stream(exchange);
  } else if (request.target == "/until-close") {
    static_cast<void>(co_await exchange.write("HTTP/1.1 200 OK\r\n\r\nall there is"));
    exchange.cut();
  } else if (request.target == "/empty") {
    static_cast<void>(co_await exchange.reply(response(204, "")));
  } else if (request.target == "/teapot") {
    static_cast<void>(co_await exchange.reply(response(418, "short and stout")));
  } else if (request.target == "/hints") {
    static_cast<void>(co_await exchange.write("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"));
    static_cast<void>(co_await exchange.reply(response(200, "final")));
  } else {
    static_cast<void>(
        co_await exchange.reply(response(200, request.body, "x-method", request.method)));
  }
}

constexpr std::string_view good_reply = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

// One good reply after another.
void behave(RawServer::Peer& peer) {
  while (!peer.read_head().empty()) peer.send(good_reply);
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

template <class Client>
class every_transport : public ::testing::Test {
 protected:
  Result<Response> ask(const Request& request, Call call = {}) {
    if (call.deadline == never) call.deadline = sync::now() + 60s;
    return client_.ask(request, call);
  }
  Result<Response> get(const Origin& origin, std::string target, Call call = {}) {
    return ask({.origin = origin, .target = std::move(target)}, call);
  }
  // Lets what the server did to the idle connection arrive, so that the test is not a race.
  void await_news(const Origin& origin) {
    Call call;
    auto lease = client_.acquire(origin, call);
    ASSERT_TRUE(lease);
    if (!lease->reused()) return;  // it was seen already, and the connection closed
    ::pollfd poll{Client::descriptor(*lease), POLLIN, 0};
    ASSERT_EQ(::poll(&poll, 1, -1), 1);
    lease->give_back();
  }
  // After whatever went wrong.
  void expect_works(const Origin& origin) {
    const Result<Response> reply = get(origin, "/again");
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(reply->body, "good");
  }
  // The first connection follows the script, the others behave.
  static RawServer::Script first(std::function<void(RawServer::Peer&)> script) {
    return [script = std::move(script)](RawServer::Peer& peer, int number) {
      number == 1 ? script(peer) : behave(peer);
    };
  }
  // What a first reply of exactly these bytes, after which the server closes, comes to.
  void expect_kind(ErrorKind kind, std::string_view reply) {
    RawServer server{first([reply](RawServer::Peer& peer) {
      peer.read_head();
      peer.send(reply);
    })};
    const Result<Response> got = get(server.origin(), "/");
    ASSERT_FALSE(got) << reply.substr(0, 100);
    EXPECT_EQ(got.error().kind(), kind) << to_string(got.error());
    expect_works(server.origin());
    EXPECT_EQ(server.connections(), 2);
  }

  Client client_;
};
struct Names {
  template <class Client>
  static std::string GetName(int) {
    return std::is_same_v<Client, BlockingClient> ? "blocking" : "async";
  }
};
using Clients = ::testing::Types<BlockingClient, AsyncClient>;
TYPED_TEST_SUITE(every_transport, Clients, Names);

TYPED_TEST(every_transport, sends_a_request_and_gives_the_whole_reply) {
  ServerThread server{serve};
  const Result<Response> reply =
      this->ask({.method = "POST", .origin = server.origin(), .target = "/echo", .body = "hello"});
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->reason, "OK");
  EXPECT_EQ(reply->headers.find("X-Method"), "POST");
  EXPECT_EQ(reply->body, "hello");
}

TYPED_TEST(every_transport, gives_a_reply_of_any_status_as_a_success) {
  ServerThread server{serve};
  const Result<Response> reply = this->get(server.origin(), "/teapot");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 418);
  EXPECT_EQ(reply->body, "short and stout");
}

TYPED_TEST(every_transport, undoes_chunks) {
  ServerThread server{serve};
  for (int round = 0; round < 3; ++round) {
    const Result<Response> reply = this->get(server.origin(), "/chunked");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->headers.find("x-kind"), "stream");
    EXPECT_EQ(reply->body, "one two three");
  }
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, reads_until_the_close_where_the_reply_says_no_length) {
  ServerThread server{serve};
  for (int round = 1; round <= 3; ++round) {
    const Result<Response> reply = this->get(server.origin(), "/until-close");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "all there is");
    EXPECT_EQ(server.connections(), static_cast<std::uint64_t>(round));
  }
}

TYPED_TEST(every_transport, expects_no_body_after_head) {
  ServerThread server{serve};
  const Result<Response> reply =
      this->ask({.method = "HEAD", .origin = server.origin(), .target = "/teapot"});
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->headers.find("content-length"), "15");
  EXPECT_EQ(reply->body, "");
  EXPECT_TRUE(this->get(server.origin(), "/"));
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, expects_no_body_after_204) {
  ServerThread server{serve};
  const Result<Response> reply = this->get(server.origin(), "/empty");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 204);
  EXPECT_TRUE(this->get(server.origin(), "/"));
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, expects_no_body_after_304_whatever_its_length_says) {
  RawServer server{[](RawServer::Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
    behave(peer);
  }};
  const Result<Response> reply = this->get(server.origin(), "/");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 304);
  this->expect_works(server.origin());
  EXPECT_EQ(server.connections(), 1);
}

TYPED_TEST(every_transport, skips_replies_that_are_not_final) {
  ServerThread server{serve};
  for (int round = 0; round < 2; ++round) {
    const Result<Response> reply = this->get(server.origin(), "/hints");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "final");
  }
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, carries_large_bodies_both_ways) {
  ServerThread server{serve};
  const std::string body = pattern(8U << 20U);
  for (int round = 0; round < 2; ++round) {
    const Result<Response> reply =
        this->ask({.method = "POST", .origin = server.origin(), .body = body});
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_TRUE(reply->body == body);
  }
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, hands_over_the_body_of_a_success_as_it_arrives) {
  // The second half is sent only when the first has been handed over.
  std::mutex mutex;
  std::string seen;
  Parker half;
  RawServer server{[&](RawServer::Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    if (!half.park_until(sync::now() + 60s)) return;
    peer.send("full");
    behave(peer);
  }};
  Request request{.origin = server.origin()};
  request.on_body = [&](std::string_view piece) {
    const std::lock_guard lock{mutex};
    seen += piece;
    if (seen == "half") half.unpark();
  };
  const Result<Response> reply = this->ask(request);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->body, "");
  EXPECT_EQ(seen, "halffull");
  this->expect_works(server.origin());
  EXPECT_EQ(server.connections(), 1);
}

TYPED_TEST(every_transport, gathers_the_body_of_a_failure_even_when_one_streams) {
  ServerThread server{serve};
  Request request{.origin = server.origin(), .target = "/teapot"};
  std::string streamed;
  request.on_body = [&](std::string_view piece) { streamed += piece; };
  const Result<Response> reply = this->ask(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "short and stout");
  EXPECT_EQ(streamed, "");
}

TYPED_TEST(every_transport, uses_one_connection_for_a_hundred_requests) {
  ServerThread server{serve};
  for (int request = 0; request < 100; ++request) {
    const std::string body = std::to_string(request);
    const Result<Response> reply =
        this->ask({.method = "POST", .origin = server.origin(), .body = body});
    ASSERT_TRUE(reply) << to_string(reply.error());
    EXPECT_EQ(reply->body, body);
  }
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(this->client_.stats().reused, 99U);
}

TYPED_TEST(every_transport, uses_a_connection_again_without_a_deadline_too) {
  ServerThread server{serve};
  for (int round = 0; round < 3; ++round) {
    Call call;
    EXPECT_TRUE(this->client_.ask({.origin = server.origin()}, call));
  }
  EXPECT_EQ(server.connections(), 1U);
}

TYPED_TEST(every_transport, does_not_use_a_connection_again_that_the_reply_closes) {
  RawServer server{[](RawServer::Peer& peer, int number) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 4\r\n\r\ngood");
    // It stays open, but nobody may ask again.
    EXPECT_EQ(peer.read_to_end(), "") << number;
  }};
  for (int round = 1; round <= 3; ++round) {
    this->expect_works(server.origin());
    EXPECT_EQ(server.connections(), round);
  }
}

TYPED_TEST(every_transport, does_not_use_a_connection_again_with_bytes_left_over) {
  RawServer server{[](RawServer::Peer& peer, int) {
    peer.read_head();
    peer.send(std::string{good_reply} + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    EXPECT_EQ(peer.read_to_end(), "");
  }};
  for (int round = 1; round <= 3; ++round) {
    this->expect_works(server.origin());
    EXPECT_EQ(server.connections(), round);
  }
}

TYPED_TEST(every_transport, does_not_use_a_connection_again_that_spoke_unasked) {
  Parker asked;
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send(good_reply);
    static_cast<void>(asked.park_until(sync::now() + 60s));
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    EXPECT_EQ(peer.read_to_end(), "");
  })};
  this->expect_works(server.origin());
  asked.unpark();
  this->await_news(server.origin());
  this->expect_works(server.origin());
  // The wait looks by taking it, and may itself have put another in its place.
  EXPECT_GE(server.connections(), 2);
}

TYPED_TEST(every_transport, does_not_use_a_connection_again_that_was_closed_while_idle) {
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send(good_reply);
  })};
  this->expect_works(server.origin());
  this->await_news(server.origin());
  // Not even for a method that could not be sent again.
  const Result<Response> reply = this->ask({.method = "POST", .origin = server.origin()});
  EXPECT_TRUE(reply) << to_string(reply.error());
  // The wait looks by taking it, and may itself have put another in its place.
  EXPECT_GE(server.connections(), 2);
}

TYPED_TEST(every_transport, sends_a_get_again_when_a_reused_connection_closes_without_a_reply) {
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send(good_reply);
    EXPECT_NE(peer.read_head(), "");
  })};
  this->expect_works(server.origin());
  this->expect_works(server.origin());
  EXPECT_EQ(server.connections(), 2);
}

TYPED_TEST(every_transport, never_sends_a_post_again_by_itself) {
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send(good_reply);
    EXPECT_NE(peer.read_head(), "");
  })};
  this->expect_works(server.origin());
  const Result<Response> reply =
      this->ask({.method = "POST", .origin = server.origin(), .body = "charge me"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
  EXPECT_EQ(server.connections(), 1);
  this->expect_works(server.origin());
}

TYPED_TEST(every_transport, does_not_send_a_get_again_once_a_byte_of_the_reply_came) {
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send(good_reply);
    peer.read_head();
    peer.send("H");
  })};
  this->expect_works(server.origin());
  const Result<Response> reply = this->get(server.origin(), "/");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::transient);
  EXPECT_EQ(server.connections(), 1);
  this->expect_works(server.origin());
}

TYPED_TEST(every_transport, does_not_send_a_get_again_that_failed_on_a_new_connection) {
  this->expect_kind(ErrorKind::transient, "");
}

TYPED_TEST(every_transport, calls_a_refused_connection_unavailable) {
  Origin origin;
  {
    ServerThread server{serve};
    origin = server.origin();
  }
  const Result<Response> reply = this->get(origin, "/");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::unavailable);
  EXPECT_NE(reply.error().message(), "");
  EXPECT_EQ(this->client_.stats().connections, 0U);
}

TYPED_TEST(every_transport, calls_a_host_that_is_not_found_unavailable) {
  // Longer than a label may be: no resolver asks anyone.
  const std::string name = std::string(70, 'x') + ".invalid";
  const Result<Response> reply = this->get({"http", name, 80}, "/");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::unavailable);
  EXPECT_NE(reply.error().message().find(name), std::string_view::npos);
  ServerThread server{serve};
  EXPECT_TRUE(this->get(server.origin(), "/"));
}

TYPED_TEST(every_transport, finds_hosts_by_name) {
  ServerThread server{serve};
  EXPECT_TRUE(this->get({"http", "localhost", server.origin().port}, "/"));
}

TYPED_TEST(every_transport, refuses_https_with_a_sentence_that_helps) {
  const Result<Response> reply = this->get({"https", "127.0.0.1", 443}, "/");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::permanent);
  EXPECT_EQ(reply.error().message(),
            "this transport speaks plain http only, not https; use a transport with TLS, or a "
            "local proxy");
}

TYPED_TEST(every_transport, sends_nothing_of_a_request_that_smuggles_a_line) {
  ServerThread server{serve};
  const Origin origin = server.origin();
  const std::vector<Request> smugglers{
      {.origin = origin, .headers = {{"x-note", "a\r\nx-evil: b"}}},
      {.origin = origin, .headers = {{"x-note\r\nx-evil", "b"}}},
      {.origin = origin, .headers = {{"x-note", "a\n"}}},
      {.origin = origin, .target = "/ HTTP/1.1\r\nx-evil: b"},
      {.method = "GET / HTTP/1.1\r\n", .origin = origin},
  };
  for (const Request& request : smugglers) {
    const Result<Response> reply = this->ask(request);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), ErrorKind::permanent);
  }
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_TRUE(this->get(origin, "/"));
}

TYPED_TEST(every_transport, calls_a_reply_that_is_cut_or_malformed_transient) {
  for (const std::string_view reply :
       {"HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\ngood",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3zz\r\nbad\r\n0\r\n\r\n"})
    this->expect_kind(ErrorKind::transient, reply);
}

TYPED_TEST(every_transport, refuses_a_reply_beyond_the_limits) {
  this->expect_kind(ErrorKind::too_large,
                    "HTTP/1.1 200 OK\r\nx-long: " + std::string(65'000, 'x') +
                        std::string(65'000, 'y') + "\r\n\r\n");
  this->expect_kind(ErrorKind::too_large, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n");
}

TYPED_TEST(every_transport, gives_up_on_a_slow_server_at_the_deadline) {
  RawServer server{this->first([&](RawServer::Peer& peer) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo");
    peer.await_close();
  })};
  Call call{.deadline = sync::now() + 50ms};
  const Result<Response> reply = this->client_.ask({.origin = server.origin()}, call);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::timeout);
  EXPECT_GE(call.now, call.deadline);
  this->expect_works(server.origin());
  EXPECT_EQ(server.connections(), 2);
}

TYPED_TEST(every_transport, closes_the_connection_of_a_call_that_is_cancelled) {
  StopSource stop;
  RawServer server{this->first([&](RawServer::Peer& peer) {
    EXPECT_NE(peer.read_head(), "");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo");
    stop.request_stop();
    EXPECT_EQ(peer.read_to_end(), "");
  })};
  const Result<Response> reply = this->get(server.origin(), "/", Call{.stop = stop.token()});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::cancelled);
  this->expect_works(server.origin());
  EXPECT_EQ(server.connections(), 2);
}

TYPED_TEST(every_transport, sends_nothing_for_a_call_that_has_ended_already) {
  ServerThread server{serve};
  StopSource stop;
  stop.request_stop();
  EXPECT_EQ(this->get(server.origin(), "/", Call{.stop = stop.token()}).error().kind(),
            ErrorKind::cancelled);
  EXPECT_EQ(this->get(server.origin(), "/", Call{.deadline = sync::now() - 1s}).error().kind(),
            ErrorKind::deadline);
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_TRUE(this->get(server.origin(), "/"));
}

}  // namespace
}  // namespace penstock::http
