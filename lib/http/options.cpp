// SPDX-License-Identifier: MIT
#include "http/options.h"

namespace fieldpipe::http {

void declare(cli::OptionTable& table, ClientOptions& options) {
  table.section("HTTP");
  table.duration("connect-timeout", options.connect_timeout, "time limit for a connection, TLS included");
  table.duration("timeout", options.timeout, "time limit for a whole request");
  table.flag("insecure-http", options.insecure_http, "allow http:// to other machines, which sends keys in the clear");
  table.text("cafile", "FILE", options.tls.cafile, "certificates of the authorities to trust")
      .completes(cli::Completes::kFiles)
      .default_text("the system's");
  table.text("capath", "DIRECTORY", options.tls.capath, "directory with such certificates")
      .completes(cli::Completes::kDirectories);
  table.text("cert", "FILE", options.tls.cert, "our certificate").completes(cli::Completes::kFiles);
  table.text("key", "FILE", options.tls.key, "its private key, not encrypted").completes(cli::Completes::kFiles);
}

}  // namespace fieldpipe::http
