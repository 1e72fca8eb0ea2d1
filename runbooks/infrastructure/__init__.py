"""Operations on hosts: how they are, more or fewer of them, another leader, other settings."""
