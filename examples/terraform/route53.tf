# The persistent record at Route 53. Certbot then needs no credentials, not even for the first
# certificate. For the values, run: certbot-dns-persist record -d example.com --format json
#
# This resource owns the whole TXT record set at the name, so it must include every value, also those
# of other CAs and other accounts: terraform plan shows which values it would remove.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "zone_id" {
  type        = string
  description = "The id of the hosted zone."
}

variable "domain" {
  type        = string
  description = "The domain name, without *."
}

variable "values" {
  type        = list(string)
  description = "The TXT values: expected_value of certbot-dns-persist, and those of others."
}

resource "aws_route53_record" "validation_persist" {
  zone_id = var.zone_id
  name    = "_validation-persist.${var.domain}"
  type    = "TXT"
  ttl     = 300
  # A TXT record consists of strings of up to 255 octets; a longer value needs several.
  records = [for value in var.values : join("\"\"", regexall(".{1,255}", value))]

  lifecycle {
    prevent_destroy = true
  }
}
