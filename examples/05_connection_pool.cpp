// SPDX-License-Identifier: MIT
// Recipe: a transport. Three names and two functions, and `ConnectionPool` keeps your connections:
// hard caps, first come first served, checked at each reuse, closed after any error.
#include <penstock/penstock.hpp>

#include <cstdio>
#include <string>

using penstock::Result;

namespace {

struct Session {  // its destructor would close it
  std::string host;
  int queries = 0;
};

struct DatabaseTransport {
  using Key = std::string;
  using Connection = Session;

  // A coroutine here (`Task<Result<Session>>`) makes a pool for coroutines.
  Result<Session> connect(const std::string& host, penstock::Call&) { return Session{host}; }
  // Asked without a lock before each reuse: has the other side hung up meanwhile?
  bool usable(Session& session) noexcept { return session.queries < 3; }
};
static_assert(penstock::PoolTransport<DatabaseTransport>);

}  // namespace

int main() {
  penstock::ConnectionPool<DatabaseTransport> pool{DatabaseTransport{}, {.max_per_key = 2}};
  for (int query = 0; query < 6; ++query) {
    penstock::Call call;
    auto session = pool.acquire("db1", call);
    if (!session) return 1;
    ++(*session)->queries;
    session->give_back();  // a lease that is dropped instead closes its connection
  }
  const auto stats = pool.stats();
  std::printf("%llu opened, %llu reused\n",
              static_cast<unsigned long long>(stats.opened),
              static_cast<unsigned long long>(stats.reused));
  return stats.opened == 2 && stats.reused == 4 ? 0 : 1;
}
