// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {AccountSlot, AccountSlots} from "./AccountSlot.sol";
import {ILedgerManager} from "./ILedgerManager.sol";
import {IServing} from "./IServing.sol";
import {IServingAccounts, Refund} from "./IServingAccounts.sol";
import {ServingProviders} from "./ServingProviders.sol";

/// @title Sub-accounts of a service
/// @notice Money of users, each part of it for one provider. It leaves in two ways: charged by the inheriting contract, or asked back through the
/// ledger. What was asked back can still be charged until its lock ends, and not after.
/// @dev The balance of the inheriting contract is the sum of all sub-accounts plus what it owes itself, such as earnings.
abstract contract ServingAccounts is IServingAccounts, IERC165, ServingProviders {
    /// Where an account is listed: one slot, found by id.
    struct Entry {
        address user;
        /// Number of its provider.
        uint32 provider;
        /// Ids of the neighbours among the accounts of the same user; 0 = none.
        uint32 older;
        uint32 newer;
    }

    struct Newest {
        uint32 id;
        uint32 count;
    }

    /// What was asked back, in one slot: twice an amount (88 bits) below the time (40, unix seconds) from which it can be collected. A third
    /// request joins the second. The second never unlocks before the first, and is nothing where the first is.
    struct Refunds {
        uint128 first;
        uint128 second;
    }

    /// @custom:storage-location erc7201:perigee.storage.ServingAccounts
    struct ServingAccountsStorage {
        ILedgerManager ledger;
        uint48 lockTime;
        // An id is a position in here plus one.
        Entry[] entries;
        mapping(address user => Newest) newest;
        mapping(address provider => mapping(address user => AccountSlot)) slots;
        mapping(address provider => mapping(address user => Refunds)) refunds;
    }

    uint256 private constant MIN_LOCKTIME = 1 hours;
    uint256 private constant MAX_LOCKTIME = 7 days;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.ServingAccounts"));

    modifier onlyLedger() {
        require(msg.sender == address(_accountsStorage().ledger), CallerNotLedger(msg.sender));
        _;
    }

    function __ServingAccounts_init(address ledger, uint256 lockTime_) internal onlyInitializing {
        require(ledger != address(0), InvalidAddress(ledger));
        _accountsStorage().ledger = ILedgerManager(ledger);
        _setLockTime(lockTime_);
    }

    // ---- for the ledger

    /// @inheritdoc IServing
    function addAccount(address user, address provider) external payable onlyLedger {
        require(user != provider, ProviderCannotBeUser());
        ServingAccountsStorage storage $ = _accountsStorage();
        AccountSlot slot = $.slots[provider][user];
        require(!slot.exists(), AccountExists(user, provider));
        _checkAmount(msg.value);

        $.entries.push();
        uint256 id = $.entries.length;
        require(id <= AccountSlots.MAX_ID, TooManyAccounts(AccountSlots.MAX_ID));
        Newest memory newest = $.newest[user];
        $.entries[id - 1] = Entry({user: user, provider: _numberOf(provider), older: newest.id, newer: 0});
        if (newest.id != 0) $.entries[newest.id - 1].newer = uint32(id);
        $.newest[user] = Newest({id: uint32(id), count: newest.count + 1});
        $.slots[provider][user] = slot.open(id).withFunds(msg.value, 0);
        emit BalanceUpdated(user, provider, msg.value, 0);
    }

    /// @inheritdoc IServing
    function depositFund(address user, address provider, uint256 cancelRetrievingAmount) external payable onlyLedger {
        ServingAccountsStorage storage $ = _accountsStorage();
        AccountSlot slot = _existing(user, provider);
        uint256 balance = slot.balance() + msg.value;
        _checkAmount(balance);
        uint256 pending = slot.pending() - cancelRetrievingAmount;
        if (cancelRetrievingAmount != 0) _cut($.refunds[provider][user], cancelRetrievingAmount);
        $.slots[provider][user] = slot.withFunds(balance, pending).withAcknowledged(true);
        emit BalanceUpdated(user, provider, balance, pending);
    }

    /// @inheritdoc IServing
    function retrieveFund(
        address user,
        address[] calldata providers,
        uint256 maxWork
    ) external onlyLedger returns (uint256 amount) {
        uint256 work = 0;
        for (uint256 i = 0; i < providers.length && work < maxWork; ++i) {
            (uint256 collected, bool changed) = _retrieve(user, providers[i]);
            amount += collected;
            if (changed) ++work;
        }
        if (amount != 0) require(LowLevelCall.callNoReturn(msg.sender, amount, ""), TransferFailed());
    }

    /// @inheritdoc IServing
    function closeEmptyAccounts(
        address user,
        uint256 maxVisits
    ) external onlyLedger returns (uint256 left, uint256 held) {
        ServingAccountsStorage storage $ = _accountsStorage();
        uint256 id = $.newest[user].id;
        for (uint256 i = 0; i < maxVisits && id != 0; ++i) {
            Entry memory entry = $.entries[id - 1];
            address provider = _providerAt(entry.provider);
            AccountSlot slot = $.slots[provider][user];
            uint256 older = entry.older;
            if (slot.balance() == 0) {
                // The last account takes the id of the closed one.
                if (older == $.entries.length) older = id;
                _close(user, provider, slot);
            } else held += slot.balance();
            id = older;
        }
        left = $.newest[user].count;
    }

    function _retrieve(address user, address provider) private returns (uint256 collected, bool changed) {
        ServingAccountsStorage storage $ = _accountsStorage();
        AccountSlot slot = $.slots[provider][user];
        if (!slot.exists()) return (0, false);
        (uint256 balance, uint256 pending) = (slot.balance(), slot.pending());
        if (pending != 0) {
            collected = _collect($.refunds[provider][user]);
            balance -= collected;
            pending -= collected;
        }
        if (balance == 0) {
            _close(user, provider, slot);
            return (collected, true);
        }
        if (balance != pending) {
            uint256 index = _ask($.refunds[provider][user], balance - pending, $.lockTime);
            pending = balance;
            emit RefundRequested(user, provider, index, block.timestamp);
        } else if (collected == 0) return (0, false);
        $.slots[provider][user] = slot.withFunds(balance, pending);
        emit BalanceUpdated(user, provider, balance, pending);
        return (collected, true);
    }

    // ---- refunds

    function _amountOf(uint256 refund) private pure returns (uint256) {
        return uint88(refund);
    }

    function _unlocksAt(uint256 refund) private pure returns (uint256) {
        return refund >> 88;
    }

    /// What can be collected.
    function _matured(Refunds memory refunds) private view returns (uint256 amount) {
        if (block.timestamp < _unlocksAt(refunds.first)) return 0;
        amount = _amountOf(refunds.first);
        if (block.timestamp >= _unlocksAt(refunds.second)) amount += _amountOf(refunds.second);
    }

    /// Takes out of `stored` what can be collected.
    function _collect(Refunds storage stored) private returns (uint256 amount) {
        Refunds memory refunds = stored;
        amount = _matured(refunds);
        if (amount == 0) return 0;
        refunds.first = block.timestamp < _unlocksAt(refunds.second) ? refunds.second : 0;
        refunds.second = 0;
        _store(stored, refunds);
    }

    /// Adds a request; gives its position.
    function _ask(Refunds storage stored, uint256 amount, uint256 lock) private returns (uint256 index) {
        Refunds memory refunds = stored;
        uint256 unlocksAt = block.timestamp + lock;
        // Not sooner than what it joins, if the lock time was shortened.
        if (unlocksAt < _unlocksAt(refunds.first)) unlocksAt = _unlocksAt(refunds.first);
        if (unlocksAt < _unlocksAt(refunds.second)) unlocksAt = _unlocksAt(refunds.second);
        // Both amounts are parts of one balance, so their sum fits.
        index = refunds.first == 0 ? 0 : 1;
        if (index == 0) refunds.first = uint128((unlocksAt << 88) | amount);
        else refunds.second = uint128((unlocksAt << 88) | (_amountOf(refunds.second) + amount));
        _store(stored, refunds);
    }

    /// Takes `amount`, at most what can't be collected yet, off the newest requests.
    function _cut(Refunds storage stored, uint256 amount) private {
        Refunds memory refunds = stored;
        uint256 second = _amountOf(refunds.second);
        if (amount < second) refunds.second -= uint128(amount);
        else {
            refunds.second = 0;
            amount -= second;
            refunds.first = amount == _amountOf(refunds.first) ? 0 : refunds.first - uint128(amount);
        }
        _store(stored, refunds);
    }

    /// In one write.
    function _store(Refunds storage stored, Refunds memory refunds) private {
        uint256 word = refunds.first | (uint256(refunds.second) << 128);
        assembly ("memory-safe") {
            sstore(stored.slot, word)
        }
    }

    // ---- charging

    /// @dev Takes up to `fee` from an account in memory: out of what is free, then out of what was asked back last, never out of what could be
    /// collected. The caller stores the slot.
    function _charge(
        AccountSlot slot,
        address user,
        address provider,
        uint256 fee
    ) internal returns (AccountSlot, uint256 charged) {
        (uint256 balance, uint256 pending) = (slot.balance(), slot.pending());
        uint256 free = balance - pending;
        if (fee <= free) return (slot.withFunds(balance - fee, pending), fee);
        if (pending == 0) return (slot.withFunds(0, 0), free);
        Refunds storage refunds = _accountsStorage().refunds[provider][user];
        uint256 claimable = balance - _matured(refunds);
        charged = fee < claimable ? fee : claimable;
        if (charged > free) {
            _cut(refunds, charged - free);
            pending -= charged - free;
        }
        return (slot.withFunds(balance - charged, pending), charged);
    }

    /// @dev What `_charge` could take.
    function _chargeable(AccountSlot slot, address user, address provider) internal view returns (uint256) {
        return slot.balance() - (slot.pending() == 0 ? 0 : _matured(_accountsStorage().refunds[provider][user]));
    }

    function _slotOf(address user, address provider) internal view returns (AccountSlot) {
        return _accountsStorage().slots[provider][user];
    }

    /// @dev Reverts AccountNotExists.
    function _existing(address user, address provider) internal view returns (AccountSlot slot) {
        slot = _slotOf(user, provider);
        require(slot.exists(), AccountNotExists(user, provider));
    }

    function _setSlot(address user, address provider, AccountSlot slot) internal {
        _accountsStorage().slots[provider][user] = slot;
    }

    /// @dev For loops over the users of one provider.
    function _slotsOf(address provider) internal view returns (mapping(address user => AccountSlot) storage) {
        return _accountsStorage().slots[provider];
    }

    // ---- users

    /// @inheritdoc IServingAccounts
    function acknowledgeTEESigner(address provider, bool acknowledged) external {
        AccountSlot slot = _existing(msg.sender, provider);
        require(
            acknowledged || slot.balance() == 0,
            CannotRevokeWithNonZeroBalance(msg.sender, provider, slot.balance())
        );
        _setSlot(msg.sender, provider, slot.withAcknowledged(acknowledged));
    }

    // ---- views

    /// @inheritdoc IServing
    function accountExists(address user, address provider) external view returns (bool) {
        return _slotOf(user, provider).exists();
    }

    /// @inheritdoc IServing
    function cancellableRefund(address user, address provider) external view returns (bool exists, uint256 amount) {
        AccountSlot slot = _slotOf(user, provider);
        uint256 pending = slot.pending();
        if (pending != 0) amount = pending - _matured(_accountsStorage().refunds[provider][user]);
        return (slot.exists(), amount);
    }

    /// @inheritdoc IServing
    function accountsOf(address user) external view returns (address[] memory providers, uint256 total) {
        ServingAccountsStorage storage $ = _accountsStorage();
        uint256 id = $.newest[user].id;
        providers = new address[]($.newest[user].count);
        for (uint256 i = 0; i < providers.length; ++i) {
            Entry storage entry = $.entries[id - 1];
            providers[i] = _providerAt(entry.provider);
            total += $.slots[providers[i]][user].balance();
            id = entry.older;
        }
    }

    /// @inheritdoc IServingAccounts
    function lockTime() public view returns (uint256) {
        return _accountsStorage().lockTime;
    }

    /// @inheritdoc IServingAccounts
    function ledgerAddress() external view returns (address) {
        return address(_accountsStorage().ledger);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IServing).interfaceId || interfaceId == type(IERC165).interfaceId;
    }

    /// @dev Users and providers of a page of all accounts; `limit` 0 = as many as there can be on a page.
    function _accountPage(
        uint256 offset,
        uint256 limit
    ) internal view returns (address[] memory users, address[] memory providers, uint256 total) {
        Entry[] storage entries = _accountsStorage().entries;
        total = entries.length;
        users = new address[](_pageLength(total, offset, limit));
        providers = new address[](users.length);
        for (uint256 i = 0; i < users.length; ++i) {
            Entry memory entry = entries[offset + i];
            (users[i], providers[i]) = (entry.user, _providerAt(entry.provider));
        }
    }

    /// @dev What waits to be refunded, oldest first, in the shape of the public SDK.
    function _refundsOf(address user, address provider) internal view returns (Refund[] memory refunds) {
        Refunds memory asked = _accountsStorage().refunds[provider][user];
        refunds = new Refund[](
            asked.first == 0
                ? 0
                : asked.second == 0
                    ? 1
                    : 2
        );
        uint256 lock = lockTime();
        for (uint256 i = 0; i < refunds.length; ++i) {
            uint256 refund = i == 0 ? asked.first : asked.second;
            refunds[i] = Refund(i, _amountOf(refund), _unlocksAt(refund) - lock, false);
        }
    }

    /// @dev What the user tells every service of herself.
    function _additionalInfoOf(address user) internal view returns (string memory) {
        return _accountsStorage().ledger.additionalInfoOf(user);
    }

    // ---- governance

    /// @inheritdoc IServingAccounts
    function updateLockTime(uint256 lockTime_) external restricted {
        emit LockTimeUpdated(lockTime(), lockTime_);
        _setLockTime(lockTime_);
    }

    function _setLockTime(uint256 lockTime_) private {
        require(
            lockTime_ >= MIN_LOCKTIME && lockTime_ <= MAX_LOCKTIME,
            LockTimeOutOfRange(lockTime_, MIN_LOCKTIME, MAX_LOCKTIME)
        );
        _accountsStorage().lockTime = uint48(lockTime_);
    }

    function _overlap() internal view override returns (uint256) {
        return lockTime();
    }

    // ---- lists

    /// Takes an account that holds nothing out of all lists.
    function _close(address user, address provider, AccountSlot slot) private {
        ServingAccountsStorage storage $ = _accountsStorage();
        uint256 id = slot.id();
        Entry memory entry = $.entries[id - 1];
        if (entry.older != 0) $.entries[entry.older - 1].newer = entry.newer;
        if (entry.newer != 0) $.entries[entry.newer - 1].older = entry.older;
        Newest memory newest = $.newest[user];
        $.newest[user] = Newest({id: entry.newer == 0 ? entry.older : newest.id, count: newest.count - 1});
        _moveLast($, id);
        $.slots[provider][user] = slot.close();
        delete $.refunds[provider][user];
        emit BalanceUpdated(user, provider, 0, 0);
        emit AccountDeleted(user, provider, 0);
    }

    /// Fills the place of the account `id` with the last one.
    function _moveLast(ServingAccountsStorage storage $, uint256 id) private {
        uint256 lastId = $.entries.length;
        if (id != lastId) {
            Entry memory last = $.entries[lastId - 1];
            $.entries[id - 1] = last;
            if (last.older != 0) $.entries[last.older - 1].newer = uint32(id);
            if (last.newer == 0) $.newest[last.user].id = uint32(id);
            else $.entries[last.newer - 1].older = uint32(id);
            address provider = _providerAt(last.provider);
            $.slots[provider][last.user] = $.slots[provider][last.user].withId(id);
        }
        $.entries.pop();
    }

    function _checkAmount(uint256 amount) private pure {
        require(amount <= AccountSlots.MAX_BALANCE, AmountTooLarge(amount, AccountSlots.MAX_BALANCE));
    }

    function _accountsStorage() private pure returns (ServingAccountsStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
