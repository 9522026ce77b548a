# The persistent record at Cloudflare. Certbot then needs no token, not even for the first
# certificate. For the values, run: certbot-dns-persist record -d example.com --format json
#
# At Cloudflare each value is a separate record, so this does not affect records of other CAs and
# other accounts at the same name.

terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = ">= 5.0"
    }
  }
}

variable "zone_id" {
  type        = string
  description = "The id of the zone."
}

variable "domain" {
  type        = string
  description = "The domain name, without *."
}

variable "value" {
  type        = string
  description = "The TXT value: expected_value of certbot-dns-persist."
}

resource "cloudflare_dns_record" "validation_persist" {
  zone_id = var.zone_id
  name    = "_validation-persist.${var.domain}"
  type    = "TXT"
  ttl     = 300
  # Strings of up to 255 octets, each in quotes.
  content = join(" ", formatlist("\"%s\"", regexall(".{1,255}", var.value)))

  lifecycle {
    prevent_destroy = true
  }
}
