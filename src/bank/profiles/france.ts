import type { ProfileSource } from './profile.ts'

/** French banks. Amounts have a decimal comma and a blank between groups of three digits. */
const FRENCH = {
  separator: ';',
  decimalMark: ',',
  groupingMarks: [' '],
  dates: ['dd/MM/yyyy', 'dd/MM/yy'],
  currency: 'EUR',
} satisfies Partial<ProfileSource>

export const FRANCE: readonly ProfileSource[] = [
  {
    ...FRENCH,
    name: 'bnp-paribas',
    bank: 'BNP Paribas',
    dates: ['dd/MM/yyyy', 'dd/MM/yy', 'dd-MM-yyyy', 'yyyy-MM-dd'],
    header: ['Date operation', 'Libelle operation', 'Montant operation en euro'],
    columns: {
      bookingDay: 'Date operation',
      amount: 'Montant operation en euro',
      remittance: ['Libelle court', 'Type operation', 'Libelle operation'],
    },
    // One line above the table: kind of account, its name, its number (often masked), day, balance.
    preamble: [
      {
        line: String.raw`^[^;]*;[^;]*;(?<account>[\d* ]{4,34});(?<balanceDay>\d[\d/-]{7,9});[^;]*;(?<closing>[^;]+);*$`,
      },
    ],
  },
  {
    ...FRENCH,
    name: 'societe-generale',
    bank: 'Société Générale',
    header: [
      "Date de l'opération",
      'Libellé',
      "Détail de l'écriture",
      "Montant de l'opération",
      'Devise',
    ],
    columns: {
      bookingDay: "Date de l'opération",
      amount: "Montant de l'opération",
      currency: 'Devise',
      remittance: ['Libellé', "Détail de l'écriture"],
    },
    // The amounts have a comma, while the balance above them has a comma or a point.
    balanceDecimalMark: [',', '.'],
    preamble: [
      {
        line: String.raw`^(?<account>\d{11,23});(?<from>[\d/]+);(?<to>[\d/]+);(?<count>\d+);(?<balanceDay>[\d/]+);(?<closing>[-+\d., ]+?) ?(?<currency>[A-Z]{3});*$`,
      },
    ],
    texts: [
      String.raw`\bDE ?: ?(?<counterpartyName>.+?) *(?:\b(?:ID|MOTIF|REF|DATE|PROVENANCE|CHEZ|MANDAT) ?:|$)`,
    ],
  },
  {
    ...FRENCH,
    name: 'groupe-sg',
    bank: 'Société Générale group (SG, Laydernier)',
    header: [
      'Date',
      "Nature de l'opération",
      'Débit',
      'Crédit',
      'Devise',
      'Date de valeur',
      'Libellé interbancaire',
    ],
    columns: {
      bookingDay: 'Date',
      valueDay: 'Date de valeur',
      debit: 'Débit',
      credit: 'Crédit',
      currency: 'Devise',
      remittance: ["Nature de l'opération", 'Libellé interbancaire'],
    },
    debitSign: 'any',
    continuationRows: true,
    preamble: [
      { line: '^(?<account>FR[0-9A-Z ]{25,40});' },
      { line: String.raw`^Solde au;(?<balanceDay>[\d/]+)` },
      { line: '^Solde;(?<closing>[^;]+);(?<currency>[A-Z]{3})' },
    ],
    texts: ['^DE ?: ?(?<counterpartyName>.+)$'],
  },
  {
    ...FRENCH,
    name: 'credit-agricole',
    bank: 'Crédit Agricole',
    header: ['Date', 'Libellé', 'Débit Euros', 'Crédit Euros'],
    columns: {
      bookingDay: 'Date',
      debit: 'Débit Euros',
      credit: 'Crédit Euros',
      remittance: 'Libellé',
    },
    preamble: [
      {
        line: '^Encours',
        refuse:
          "the file lists payments by card, which are no entries of an account: export the account's operations",
      },
      { line: String.raw`\bn(?:o|°|º) *(?<account>\d{11});*$` },
      {
        line: String.raw`^Solde au (?<balanceDay>[\d/]+) *:? *(?<closing>[-+\d., ]+?) *(?:EUR|€);*$`,
      },
      { line: String.raw`entre le (?<from>[\d/]+) et le (?<to>[\d/]+)` },
    ],
    // Below the account's rows there may be a part for each card, which begins with its holder.
    otherRows: [{ line: String.raw`^[^;\d][^;]*;*$`, end: true }],
  },
  {
    ...FRENCH,
    name: 'bpce',
    bank: "Banque Populaire, Caisse d'Épargne",
    header: [
      'Libelle simplifie',
      'Libelle operation',
      'Reference',
      'Informations complementaires',
      'Type operation',
      'Debit',
      'Credit',
    ],
    columns: {
      bookingDay: ['Date de comptabilisation', 'Date comptable'],
      valueDay: 'Date de valeur',
      debit: 'Debit',
      credit: 'Credit',
      reference: 'Reference',
      remittance: ['Libelle simplifie', 'Libelle operation', 'Informations complementaires'],
    },
    debitSign: 'any',
    preamble: [{ line: String.raw`^Num[eé]ro de compte *[:;]+ *(?<account>\d{8,23})` }],
    fileName: String.raw`HistoriqueOperations_(?<account>\d{8,23})`,
  },
  {
    ...FRENCH,
    name: 'credit-mutuel-cic',
    bank: 'Crédit Mutuel, CIC',
    encoding: 'iso-8859-15',
    header: ['Date', 'Date de valeur', 'Débit', 'Crédit', 'Libellé', 'Solde'],
    columns: {
      bookingDay: 'Date',
      valueDay: 'Date de valeur',
      debit: 'Débit',
      credit: 'Crédit',
      balance: 'Solde',
      remittance: 'Libellé',
    },
    debitSign: 'any',
  },
  {
    ...FRENCH,
    name: 'credit-mutuel-cic-montant',
    bank: 'Crédit Mutuel, CIC (one column of amounts)',
    encoding: 'iso-8859-15',
    decimalMark: [',', '.'],
    header: ['Date', 'Date de valeur', 'Montant', 'Libellé', 'Solde'],
    columns: {
      bookingDay: 'Date',
      valueDay: 'Date de valeur',
      amount: 'Montant',
      balance: 'Solde',
      remittance: 'Libellé',
    },
  },
  {
    ...FRENCH,
    name: 'la-banque-postale',
    bank: 'La Banque Postale',
    encoding: 'iso-8859-15',
    header: ['Date', 'Libellé', 'Montant(EUROS)'],
    columns: { bookingDay: 'Date', amount: 'Montant(EUROS)', remittance: 'Libellé' },
    preamble: [
      { line: '^Num[eé]ro Compte *; *(?<account>[0-9A-Z ]{5,34})' },
      { line: String.raw`^Date *; *(?<balanceDay>[\d/]+)` },
      { line: String.raw`^Solde \(EUROS\) *; *(?<closing>[^;]+)` },
    ],
  },
  {
    ...FRENCH,
    name: 'boursobank',
    bank: 'BoursoBank',
    dates: ['yyyy-MM-dd', 'dd/MM/yyyy', 'dd/MM/yy'],
    header: ['dateOp', 'dateVal', 'label', 'category', 'amount', 'accountNum'],
    columns: {
      bookingDay: 'dateOp',
      valueDay: 'dateVal',
      amount: 'amount',
      account: 'accountNum',
      // `accountbalance` is the balance of the day of the export, the same in every row: no proof.
      remittance: ['label', 'comment'],
    },
  },
]
